//! Who fights whom: the 14 scenarios of JaxMARL's map, those of SMAC that its six unit types allow besides, and the races of
//! SMACv2 out of these types.

/// Index into the unit table.
pub const MARINE: u8 = 0;
pub const MARAUDER: u8 = 1;
pub const STALKER: u8 = 2;
pub const ZEALOT: u8 = 3;
pub const ZERGLING: u8 = 4;
pub const HYDRALISK: u8 = 5;

/// How the types of a team come about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Types {
    /// The same in every episode: allies, then enemies.
    Fixed(Vec<u8>),
    /// Each ally uniform over these types; the enemies copy the allies in order. `extra_marines` says what the enemies
    /// beyond the number of allies are: marines (JaxMARL's generator), or drawn as the allies are (the races).
    Drawn { among: Vec<u8>, extra_marines: bool },
}

/// A battle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    pub name: String,
    pub allies: usize,
    pub enemies: usize,
    pub types: Types,
    /// SMACv2's start positions (surround or reflect) in place of two fixed camps.
    pub smacv2_positions: bool,
}

/// Teams as counts of types, in index order.
fn fixed(name: &str, allies: &[(usize, u8)], enemies: &[(usize, u8)]) -> Scenario {
    let list = |team: &[(usize, u8)]| -> Vec<u8> {
        team.iter()
            .flat_map(|&(n, t)| std::iter::repeat_n(t, n))
            .collect()
    };
    let (a, e) = (list(allies), list(enemies));
    Scenario {
        name: name.to_owned(),
        allies: a.len(),
        enemies: e.len(),
        types: Types::Fixed([a, e].concat()),
        smacv2_positions: false,
    }
}

fn drawn(
    name: String,
    allies: usize,
    enemies: usize,
    among: &[u8],
    extra_marines: bool,
) -> Scenario {
    Scenario {
        name,
        allies,
        enemies,
        types: Types::Drawn {
            among: among.to_vec(),
            extra_marines,
        },
        smacv2_positions: true,
    }
}

/// Every named scenario, the reference's 14 first.
pub fn all() -> Vec<Scenario> {
    let (m, s, z, g, h) = (MARINE, STALKER, ZEALOT, ZERGLING, HYDRALISK);
    let mut list = vec![
        fixed("3m", &[(3, m)], &[(3, m)]),
        fixed("2s3z", &[(2, s), (3, z)], &[(2, s), (3, z)]),
        fixed("25m", &[(25, m)], &[(25, m)]),
        fixed("3s5z", &[(3, s), (5, z)], &[(3, s), (5, z)]),
        fixed("8m", &[(8, m)], &[(8, m)]),
        fixed("5m_vs_6m", &[(5, m)], &[(6, m)]),
        fixed("10m_vs_11m", &[(10, m)], &[(11, m)]),
        fixed("27m_vs_30m", &[(27, m)], &[(30, m)]),
        fixed("3s5z_vs_3s6z", &[(3, s), (5, z)], &[(3, s), (6, z)]),
        fixed("3s_vs_5z", &[(3, s)], &[(5, z)]),
        fixed("6h_vs_8z", &[(6, h)], &[(8, z)]),
    ];
    for n in [5, 10, 20] {
        let types = [MARINE, MARAUDER, STALKER, ZEALOT, ZERGLING, HYDRALISK];
        list.push(drawn(format!("smacv2_{n}_units"), n, n, &types, true));
    }
    // SMAC's teams that JaxMARL leaves out, on SMAX's map: `corridor` has no choke point here. 1s1z is a small map of papers.
    list.extend([
        fixed("2m_vs_1z", &[(2, m)], &[(1, z)]),
        fixed("3s_vs_3z", &[(3, s)], &[(3, z)]),
        fixed("3s_vs_4z", &[(3, s)], &[(4, z)]),
        fixed("8m_vs_9m", &[(8, m)], &[(9, m)]),
        fixed("corridor", &[(6, z)], &[(24, g)]),
        fixed("1s1z", &[(1, s), (1, z)], &[(1, s), (1, z)]),
    ]);
    // Ours: SMACv2's races without the types whose stats SMAX lacks (colossus, medivac, baneling: one unit in ten there),
    // the other two equally likely as their weights 0.45 : 0.45 say; extra enemies are drawn like everyone else.
    for (race, types) in [
        ("protoss", [STALKER, ZEALOT]),
        ("terran", [MARINE, MARAUDER]),
        ("zerg", [ZERGLING, HYDRALISK]),
    ] {
        for (a, e) in [(5, 5), (10, 10), (10, 11), (20, 20), (20, 23)] {
            list.push(drawn(format!("{race}_{a}_vs_{e}"), a, e, &types, false));
        }
    }
    list
}

/// The scenario of that name.
pub fn find(name: &str) -> Option<Scenario> {
    all().into_iter().find(|s| s.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Team sizes of `specs/smax.md` §3.1.
    #[test]
    fn the_reference_scenarios_have_the_reference_sizes() {
        let sizes = [
            ("3m", 3, 3),
            ("2s3z", 5, 5),
            ("25m", 25, 25),
            ("3s5z", 8, 8),
            ("8m", 8, 8),
            ("5m_vs_6m", 5, 6),
            ("10m_vs_11m", 10, 11),
            ("27m_vs_30m", 27, 30),
            ("3s5z_vs_3s6z", 8, 9),
            ("3s_vs_5z", 3, 5),
            ("6h_vs_8z", 6, 8),
            ("smacv2_5_units", 5, 5),
            ("smacv2_10_units", 10, 10),
            ("smacv2_20_units", 20, 20),
        ];
        for (name, allies, enemies) in sizes {
            let s = find(name).unwrap_or_else(|| panic!("{name} is missing"));
            assert_eq!((s.allies, s.enemies), (allies, enemies), "{name}");
        }
        assert_eq!(all().len(), 14 + 6 + 15);
    }

    /// Teams of `specs/smax.md` §3.2, by the names of the types.
    #[test]
    fn the_scenarios_of_smac_have_its_teams() {
        let names = ["marine", "marauder", "stalker", "zealot", "zergling"];
        for (name, allies, enemies) in [
            ("2m_vs_1z", "marine marine", "zealot"),
            (
                "3s_vs_3z",
                "stalker stalker stalker",
                "zealot zealot zealot",
            ),
            (
                "3s_vs_4z",
                "stalker stalker stalker",
                "zealot zealot zealot zealot",
            ),
            (
                "8m_vs_9m",
                &["marine"; 8].join(" "),
                &["marine"; 9].join(" "),
            ),
            (
                "corridor",
                &["zealot"; 6].join(" "),
                &["zergling"; 24].join(" "),
            ),
            ("1s1z", "stalker zealot", "stalker zealot"),
        ] {
            let s = find(name).unwrap_or_else(|| panic!("{name} is missing"));
            let Types::Fixed(types) = s.types else {
                panic!("{name} draws its types")
            };
            let list =
                |t: &[u8]| -> Vec<&str> { t.iter().map(|&t| names[usize::from(t)]).collect() };
            assert_eq!(list(&types[..s.allies]).join(" "), allies, "{name}");
            assert_eq!(list(&types[s.allies..]).join(" "), enemies, "{name}");
            assert!(!s.smacv2_positions, "{name}");
        }
    }
}
