//! Names: each of the system's nodes, groups, roles, selectors and zones has its own.

use super::{Cluster, Description, MOST_NODES};
use crate::scenario::target::ZONES;

/// Words that scenario files have for nodes.
const RESERVED: [&str; 7] = ["all", "rest", "self", "random", "minority", "majority", ZONES];

/// What is wrong with the size of a cluster, or with the names in it, if something is. A wrong name is a bug of the system.
pub(super) fn problem(cluster: &Cluster, description: &Description) -> Option<String> {
    if cluster.asked > MOST_NODES {
        return Some(format!("this makes a cluster of {} nodes, and the most are {MOST_NODES}", cluster.asked));
    }
    let nodes = cluster.list();
    if let Some(node) = nodes.iter().find(|node| !description.roles.contains(&node.role)) {
        let roles = description.roles.join(", ");
        return Some(format!(
            "`build` adds `{}` of the role `{}`, which is not declared: there are {roles}",
            node.name, node.role
        ));
    }
    // A role and the group of its name are one thing, if the group is the role's.
    let mixed = nodes.iter().find(|node| node.group != node.role && description.roles.contains(&node.group));
    if let Some(node) = mixed {
        return Some(format!("`{}` is the name of a role, and of a group of the role `{}`", node.group, node.role));
    }
    let mut groups: Vec<&str> = nodes.iter().map(|node| node.group.as_str()).collect();
    groups.retain(|group| !description.roles.iter().any(|role| role == group));
    groups.sort_unstable();
    groups.dedup();
    let kinds = [
        ("a node", nodes.iter().map(|node| node.name.as_str()).collect::<Vec<&str>>()),
        ("a group", groups),
        ("a role", description.roles.iter().map(String::as_str).collect()),
        ("a selector", description.selectors.iter().map(String::as_str).collect()),
    ];
    let mut all: Vec<(&str, &str)> =
        kinds.iter().flat_map(|(kind, names)| names.iter().map(|name| (*name, *kind))).collect();
    if let Some((name, kind)) = all.iter().find(|(name, _)| RESERVED.contains(name) || is_zone(name)) {
        return Some(format!("`{name}` is the name of {kind}, and has a meaning of its own in scenarios"));
    }
    all.sort_by_key(|(name, _)| *name);
    let twice = all.windows(2).find(|two| two[0].0 == two[1].0)?;
    Some(format!("`{}` is the name of {} and of {}", twice[0].0, twice[0].1, twice[1].1))
}

fn is_zone(name: &str) -> bool {
    let number = name.strip_prefix(ZONES).and_then(|rest| rest.strip_prefix('-'));
    number.is_some_and(|number| number.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description() -> Description {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Description { roles: names(&["shard", "client"]), selectors: names(&["leader"]), ..Description::default() }
    }

    fn problem_of(build: impl FnOnce(&mut Cluster) -> &mut Cluster) -> Option<String> {
        let mut cluster = Cluster::default();
        build(&mut cluster);
        problem(&cluster, &description())
    }

    #[test]
    fn a_role_and_its_own_group_are_one_thing() {
        assert_eq!(problem_of(|cluster| cluster.nodes("shard", 2).nodes("client", 1)), None);
        assert_eq!(problem_of(|cluster| cluster.group("shard-1", "shard", 2).group("shard-2", "shard", 2)), None);
    }

    #[test]
    fn a_role_must_be_declared() {
        let problem = problem_of(|cluster| cluster.nodes("shrad", 1)).unwrap();
        assert!(problem.contains("`shrad`, which is not declared: there are shard, client"), "{problem}");
    }

    #[test]
    fn two_things_of_one_name_are_an_error() {
        type Build = fn(&mut Cluster) -> &mut Cluster;
        let clashes: [(Build, &str); 5] = [
            (
                |cluster| cluster.nodes("shard", 2).group("shard-1", "shard", 2),
                "`shard-1` is the name of a group and of a node",
            ),
            (|cluster| cluster.group("leader", "shard", 2), "`leader` is the name of a group and of a selector"),
            (
                |cluster| cluster.group("client", "shard", 2),
                "`client` is the name of a role, and of a group of the role `shard`",
            ),
            (
                |cluster| cluster.group("zone-1", "shard", 2),
                "`zone-1` is the name of a group, and has a meaning of its own",
            ),
            (|cluster| cluster.group("all", "shard", 2), "`all` is the name of a group, and has a meaning of its own"),
        ];
        for (build, expected) in clashes {
            let problem = problem_of(build).expect(expected);
            let sides: Vec<&str> = expected.split(" is the name of ").collect();
            assert!(problem.starts_with(sides[0]), "{problem}");
            assert!(
                problem.contains(expected) || problem.contains("a node and of a group"),
                "{problem} for {expected}"
            );
        }
    }

    #[test]
    fn a_cluster_that_is_too_large_is_not_made() {
        let problem = problem_of(|cluster| cluster.nodes("shard", 3).nodes("client", 100_000_000_000));
        assert_eq!(problem.unwrap(), "this makes a cluster of 100000000003 nodes, and the most are 65534");
        assert_eq!(problem_of(|cluster| cluster.nodes("shard", 34).nodes("client", 65_500)), None);
    }
}
