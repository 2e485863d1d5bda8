//! Pictures of a stack: who is on which network, by which links, with which addresses. Pure: a scene is built from
//! the file ([`wanted`]) or from what was observed ([`found`]), and each format writes the same scene as text.
//! Nothing here reads, asks or prints.

pub mod dot;
pub mod found;
pub mod html;
pub mod mermaid;
pub mod network;
pub mod scene;
pub mod svg;
pub mod text;
pub mod wanted;
pub mod web;
