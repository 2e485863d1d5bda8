//! What is said of one question: whether it works, how it fails, why, on which way, and what would change it. The
//! words are closed lists: a probe's result is put into the same ones, so the two can be compared.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::reach::card::Card;

/// What the one who asks sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict", content = "detail")]
pub enum Verdict {
    Ok,
    Fail(Failure),
    /// It hangs on something that cannot be seen from here; the text names it.
    Depends(String),
}

/// How it fails, as the client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// Somebody answered and said no: TCP reset, ICMP port unreachable.
    Refused,
    /// Nobody answers: the packets, or the answers, are thrown away without a word.
    Timeout,
    /// No route: the client's own kernel, or a router, has nowhere to send it.
    NoRoute,
    /// Nobody answers for the address on the last link (ARP, neighbour discovery).
    HostUnreachable,
    /// There is no such name.
    Nxdomain,
    /// The resolver itself gave up.
    Servfail,
    /// Somebody else answers.
    WrongTarget,
}

macro_rules! words {
    ($type:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $type {
            /// The word for it in output and in files.
            pub fn word(self) -> &'static str {
                match self { $($type::$variant => $word),+ }
            }

            /// All words.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The value that a word means.
            pub fn from_word(word: &str) -> Option<$type> {
                match word { $($word => Some($type::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

words!(Failure {
    Refused = "refused",
    Timeout = "timeout",
    NoRoute = "no-route",
    HostUnreachable = "host-unreachable",
    Nxdomain = "nxdomain",
    Servfail = "servfail",
    WrongTarget = "wrong-target",
});

impl Verdict {
    /// One word: `ok`, the kind of failure, or `depends`.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Fail(failure) => failure.word(),
            Verdict::Depends(_) => "depends",
        }
    }
}

/// Why not: a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    NameUnknownHere,
    NameOtherNetwork,
    NameAmbiguous,
    NoEmbeddedDns,
    DnsNoForward,
    NetnsNone,
    NoCommonNetwork,
    BridgeIsolation,
    DirectRouteBlocked,
    IccOff,
    InternalNoExit,
    IsolatedNoHostIp,
    NotPublished,
    PublishedElsewhere,
    LoopbackOnly,
    PortOnWrongFamily,
    ModeHasNoPublish,
    ParentFilter,
    NoShim,
    ShimNoRoute,
    ShimWrongSource,
    MacvlanPrivate,
    VepaNoReflect,
    PassthruSingle,
    IpvlanL3NoBcast,
    NoReturnRoute,
    NoDefaultRoute,
    GatewayIsOtherNet,
    FamilyMissing,
    OverlayNotAttachable,
    SwarmInactive,
    NoListener,
    ListenerLoopback,
    ForwardPolicy,
    HostFirewall,
    RpFilter,
    DuplicateAddress,
    SwitchDropsUnknown,
    Mtu,
    ContainerDown,
    NobodyThere,
    UnknownExternal,
}

words!(Code {
    NameUnknownHere = "NAME_UNKNOWN_HERE",
    NameOtherNetwork = "NAME_OTHER_NETWORK",
    NameAmbiguous = "NAME_AMBIGUOUS",
    NoEmbeddedDns = "NO_EMBEDDED_DNS",
    DnsNoForward = "DNS_NO_FORWARD",
    NetnsNone = "NETNS_NONE",
    NoCommonNetwork = "NO_COMMON_NETWORK",
    BridgeIsolation = "BRIDGE_ISOLATION",
    DirectRouteBlocked = "DIRECT_ROUTE_BLOCKED",
    IccOff = "ICC_OFF",
    InternalNoExit = "INTERNAL_NO_EXIT",
    IsolatedNoHostIp = "ISOLATED_NO_HOST_IP",
    NotPublished = "NOT_PUBLISHED",
    PublishedElsewhere = "PUBLISHED_ELSEWHERE",
    LoopbackOnly = "LOOPBACK_ONLY",
    PortOnWrongFamily = "PORT_ON_WRONG_FAMILY",
    ModeHasNoPublish = "MODE_HAS_NO_PUBLISH",
    ParentFilter = "PARENT_FILTER",
    NoShim = "NO_SHIM",
    ShimNoRoute = "SHIM_NO_ROUTE",
    ShimWrongSource = "SHIM_WRONG_SOURCE",
    MacvlanPrivate = "MACVLAN_PRIVATE",
    VepaNoReflect = "VEPA_NO_REFLECT",
    PassthruSingle = "PASSTHRU_SINGLE",
    IpvlanL3NoBcast = "IPVLAN_L3_NO_BCAST",
    NoReturnRoute = "NO_RETURN_ROUTE",
    NoDefaultRoute = "NO_DEFAULT_ROUTE",
    GatewayIsOtherNet = "GATEWAY_IS_OTHER_NET",
    FamilyMissing = "FAMILY_MISSING",
    OverlayNotAttachable = "OVERLAY_NOT_ATTACHABLE",
    SwarmInactive = "SWARM_INACTIVE",
    NoListener = "NO_LISTENER",
    ListenerLoopback = "LISTENER_LOOPBACK",
    ForwardPolicy = "FORWARD_POLICY",
    HostFirewall = "HOST_FIREWALL",
    RpFilter = "RP_FILTER",
    DuplicateAddress = "DUPLICATE_ADDRESS",
    SwitchDropsUnknown = "SWITCH_DROPS_UNKNOWN",
    Mtu = "MTU",
    ContainerDown = "CONTAINER_DOWN",
    NobodyThere = "NOBODY_THERE",
    UnknownExternal = "UNKNOWN_EXTERNAL",
});

/// How sure the prediction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// A fact was assumed that often is otherwise.
    Low,
    /// Defaults were taken where nothing was observed.
    Medium,
    /// Rules that live tests confirm, on facts that are known.
    High,
}

/// Where on the way something happens, in the order it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Resolve,
    Route,
    Link,
    Firewall,
    Translation,
    Listener,
    Return,
}

impl Stage {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Stage::Resolve => "name",
            Stage::Route => "route",
            Stage::Link => "link",
            Stage::Firewall => "firewall",
            Stage::Translation => "translation",
            Stage::Listener => "listener",
            Stage::Return => "return",
        }
    }
}

/// One thing that happens on the way; [`crate::reach::explain`] puts it into a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "hop")]
pub enum Hop {
    /// The resolver answered.
    Resolved {
        name: String,
        resolver: String,
        network: Option<String>,
        addresses: Vec<IpAddr>,
    },
    /// A route was found in a namespace.
    Routed {
        at: String,
        destination: IpAddr,
        link: String,
        via: Option<IpAddr>,
        source: Option<IpAddr>,
    },
    /// The packet stays in the namespace.
    Local { at: String, address: IpAddr },
    /// A frame crossed a bridge, a wire or a tunnel.
    Carried { over: String, to: String },
    /// A firewall let it pass.
    Passed { at: String, rule: &'static str },
    /// An address was translated.
    Translated {
        at: String,
        from: IpAddr,
        to: IpAddr,
        port: Option<u16>,
        what: Translation,
    },
    /// Somebody listens there, or is taken to.
    Listens { at: String, port: u16, known: bool },
    /// The answer finds its way back.
    Answered { at: String, to: IpAddr },
}

/// What is rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Translation {
    /// The destination, for a published port.
    Destination,
    /// The source, on the way out of a bridge.
    Source,
    /// The engine's proxy takes the connection and makes one of its own.
    Proxy,
}

/// The first thing that stands in the way, or that the answer hangs on.
#[derive(Debug, Clone, PartialEq)]
pub struct Obstacle {
    pub stage: Stage,
    pub code: Code,
    pub verdict: Verdict,
    pub card: &'static Card,
    /// Where, in words with the real names.
    pub at: String,
    /// The least change of the file that would open it; empty where none would.
    pub remedy: String,
    /// How it may fail as well: what another machine tells by ICMP it tells only so often (rule R2), and what is heard
    /// of a neighbour's own question may fill the neighbour table (rule FH1).
    pub also: Option<Failure>,
}

impl Obstacle {
    /// A failure of this kind.
    pub fn fail(
        card: &'static Card,
        stage: Stage,
        code: Code,
        failure: Failure,
        at: impl Into<String>,
    ) -> Obstacle {
        Obstacle {
            stage,
            code,
            verdict: Verdict::Fail(failure),
            card,
            at: at.into(),
            remedy: String::new(),
            also: None,
        }
    }

    /// Something that cannot be known from here.
    pub fn depends(
        card: &'static Card,
        stage: Stage,
        code: Code,
        fact: impl Into<String>,
        at: impl Into<String>,
    ) -> Obstacle {
        Obstacle {
            stage,
            code,
            verdict: Verdict::Depends(fact.into()),
            card,
            at: at.into(),
            remedy: String::new(),
            also: None,
        }
    }

    /// The same, which may show itself in another way too.
    pub fn also(mut self, failure: Failure) -> Obstacle {
        self.also = Some(failure);
        self
    }

    /// The same with what would open it.
    pub fn remedy(mut self, text: impl Into<String>) -> Obstacle {
        self.remedy = text.into();
        self
    }
}

/// The answer to one question.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    pub verdict: Verdict,
    pub hops: Vec<Hop>,
    pub obstacle: Option<Obstacle>,
    /// The rules that applied on the way, in order.
    pub cards: Vec<&'static Card>,
    pub confidence: Confidence,
}

impl Prediction {
    /// The reason code, where there is an obstacle.
    pub fn code(&self) -> Option<Code> {
        self.obstacle.as_ref().map(|obstacle| obstacle.code)
    }
}
