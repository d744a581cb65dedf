//! The shape all trees share: binary, an odd last node is promoted, so leaf count and index fix a path's shape.

use alloc::vec::Vec;

/// A node that two children make.
pub(crate) trait Join: Clone {
    /// The parent of two neighbours; `None` when their sums overflow.
    fn join(left: &Self, right: &Self) -> Option<Self>;
}

/// One level up.
fn parents<N: Join>(nodes: &[N]) -> Option<Vec<N>> {
    nodes
        .chunks(2)
        .map(|pair| match pair {
            [left, right] => N::join(left, right),
            [last] => Some(last.clone()),
            _ => None,
        })
        .collect()
}

/// Root of the leaves; `None` when there are none or sums overflow.
pub(crate) fn root<N: Join>(leaves: &[N]) -> Option<N> {
    let mut level = leaves.to_vec();
    while level.len() > 1 {
        level = parents(&level)?;
    }
    level.pop()
}

/// Siblings from the leaf at `index` up to the root.
pub(crate) fn proof<N: Join>(leaves: &[N], index: usize) -> Option<Vec<N>> {
    leaves.get(index)?;
    let (mut level, mut at, mut path) = (leaves.to_vec(), index, Vec::new());
    while level.len() > 1 {
        if let Some(sibling) = level.get(at ^ 1) {
            path.push(sibling.clone());
        }
        level = parents(&level)?;
        at >>= 1;
    }
    Some(path)
}

/// The root that leaf, position and path lead to; `None` when the path does not have the shape.
pub(crate) fn fold<N: Join>(count: u64, index: u64, leaf: N, path: &[N]) -> Option<N> {
    if index >= count {
        return None;
    }
    let (mut node, mut at, mut width, mut path) = (leaf, index, count, path.iter());
    while width > 1 {
        if at ^ 1 < width {
            let sibling = path.next()?;
            node = if at & 1 == 0 { N::join(&node, sibling)? } else { N::join(sibling, &node)? };
        }
        at >>= 1;
        width = width.div_ceil(2);
    }
    path.next().is_none().then_some(node)
}

/// The nodes that, with the leaves at `indices` (ascending, distinct), lead to the root: level by level, left to right.
pub(crate) fn multiproof<N: Join>(leaves: &[N], indices: &[usize]) -> Option<Vec<N>> {
    if indices.is_empty() || !indices.is_sorted_by(|a, b| a < b) || indices.last()? >= &leaves.len() {
        return None;
    }
    let (mut level, mut known, mut out) = (leaves.to_vec(), indices.to_vec(), Vec::new());
    while level.len() > 1 {
        for at in &known {
            let sibling = at ^ 1;
            if known.binary_search(&sibling).is_err() {
                out.extend(level.get(sibling).cloned());
            }
        }
        level = parents(&level)?;
        known = known.iter().map(|at| at >> 1).collect();
        known.dedup();
    }
    Some(out)
}

/// The root that several leaves (ascending, distinct indices) and a [`multiproof`] lead to.
pub(crate) fn fold_many<N: Join>(count: u64, leaves: Vec<(u64, N)>, proof: &[N]) -> Option<N> {
    if leaves.is_empty() || !leaves.is_sorted_by(|a, b| a.0 < b.0) || leaves.last()?.0 >= count {
        return None;
    }
    let (mut level, mut width, mut proof) = (leaves, count, proof.iter());
    while width > 1 {
        let mut next: Vec<(u64, N)> = Vec::with_capacity(level.len());
        let mut nodes = level.into_iter().peekable();
        while let Some((at, node)) = nodes.next() {
            let parent = if at & 1 == 1 {
                N::join(proof.next()?, &node)?
            } else if let Some((_, right)) = nodes.next_if(|(other, _)| *other == at | 1) {
                N::join(&node, &right)?
            } else if at | 1 < width {
                N::join(&node, proof.next()?)?
            } else {
                node
            };
            next.push((at >> 1, parent));
        }
        level = next;
        width = width.div_ceil(2);
    }
    let [(_, node)] = level.as_slice() else { return None };
    proof.next().is_none().then(|| node.clone())
}
