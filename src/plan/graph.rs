//! Order. The only place that names petgraph: it knows nodes by number and edges between them, nothing of resources.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

/// A graph over the numbers `0..nodes`; an edge `(a, b)` says that `a` comes before `b`.
#[derive(Debug, Clone)]
pub struct Graph {
    graph: DiGraph<usize, ()>,
}

impl Graph {
    /// The graph with these nodes and edges; edges that are given twice count once.
    pub fn new(nodes: usize, edges: impl IntoIterator<Item = (usize, usize)>) -> Graph {
        let mut graph = DiGraph::with_capacity(nodes, 0);
        let index: Vec<NodeIndex> = (0..nodes).map(|node| graph.add_node(node)).collect();
        let mut edges: Vec<(usize, usize)> = edges.into_iter().collect();
        edges.sort_unstable();
        edges.dedup();
        for (before, after) in edges {
            if let (Some(before), Some(after)) = (index.get(before), index.get(after)) {
                graph.add_edge(*before, *after, ());
            }
        }
        Graph { graph }
    }

    /// All nodes, each after all that come before it; among those that could come next, the smallest number first, so
    /// the order is that of the file wherever it may be. Fails with one cycle as a path that ends where it begins.
    pub fn order(&self) -> Result<Vec<usize>, Vec<usize>> {
        let mut waiting: Vec<usize> = vec![0; self.graph.node_count()];
        for edge in self.graph.edge_references() {
            waiting[edge.target().index()] += 1;
        }
        let mut ready: BinaryHeap<Reverse<usize>> = waiting
            .iter()
            .enumerate()
            .filter(|(_, count)| **count == 0)
            .map(|(node, _)| Reverse(node))
            .collect();
        let mut order = Vec::with_capacity(waiting.len());
        while let Some(Reverse(node)) = ready.pop() {
            order.push(node);
            for next in self.graph.neighbors(NodeIndex::new(node)) {
                waiting[next.index()] -= 1;
                if waiting[next.index()] == 0 {
                    ready.push(Reverse(next.index()));
                }
            }
        }
        if order.len() == waiting.len() {
            Ok(order)
        } else {
            Err(self.cycle())
        }
    }

    /// One cycle as a path that ends where it begins; empty where there is none.
    pub fn cycle(&self) -> Vec<usize> {
        let knots = tarjan_scc(&self.graph);
        let knot = knots.iter().filter(|knot| {
            knot.len() > 1
                || knot
                    .first()
                    .is_some_and(|node| self.graph.contains_edge(*node, *node))
        });
        let Some(knot) = knot.min_by_key(|knot| knot.iter().map(|node| node.index()).min()) else {
            return Vec::new();
        };
        let inside: std::collections::HashSet<NodeIndex> = knot.iter().copied().collect();
        let Some(start) = knot.iter().copied().min() else {
            return Vec::new();
        };
        // Every node of a knot has a successor in it, so walking inside the knot must meet itself.
        let mut path = vec![start];
        let mut position = std::collections::HashMap::from([(start, 0usize)]);
        let mut here = start;
        while let Some(next) = self
            .graph
            .neighbors(here)
            .filter(|next| inside.contains(next))
            .min()
        {
            if let Some(first) = position.get(&next) {
                let mut cycle: Vec<usize> =
                    path.iter().skip(*first).map(|node| node.index()).collect();
                cycle.push(next.index());
                return cycle;
            }
            position.insert(next, path.len());
            path.push(next);
            here = next;
        }
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::Graph;

    #[test]
    fn the_order_is_that_of_the_file_where_it_may_be() {
        assert_eq!(
            Graph::new(4, [(3, 0), (1, 0)]).order(),
            Ok(vec![1, 2, 3, 0])
        );
    }

    #[test]
    fn a_cycle_is_told_as_a_path() {
        let graph = Graph::new(5, [(0, 1), (1, 2), (2, 3), (3, 1), (3, 4)]);
        assert_eq!(graph.order(), Err(vec![1, 2, 3, 1]));
        assert_eq!(Graph::new(2, [(1, 1)]).cycle(), vec![1, 1]);
    }
}
