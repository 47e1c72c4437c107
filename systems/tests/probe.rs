use std::collections::BTreeMap;
#[test]
fn probe() {
    let path = std::env::var("SCN").unwrap_or("../scenarios/primary_backup/swarm.toml".into());
    let n: u64 = std::env::var("N").map_or(200, |n| n.parse().unwrap());
    let planted: Vec<String> = std::env::var("P").map_or(vec![], |p| vec![p]);
    let scenario = sim::Scenario::load(path.as_ref()).unwrap_or_else(|e| panic!("{e}"));
    let system = systems::primary_backup::PrimaryBackup;
    let mut sigs: BTreeMap<String, (u64, u64, String)> = BTreeMap::new();
    let mut dose: BTreeMap<String, u64> = BTreeMap::new();
    let start = std::time::Instant::now();
    let mut vns = 0;
    let from: u64 = std::env::var("FROM").map_or(0, |n| n.parse().unwrap());
    for seed in from..from + n {
        let mut options = sim::RunOptions { planted: planted.clone(), ..Default::default() };
        if n == 1 {
            options.recorder = Some(sim::trace::record::Recorder::new(Box::new(|r| {
                println!("{:>14} {:<9} {:<7} {}", r.at_ns, r.node.unwrap_or_default(), r.kind.name(), r.text)
            })));
        }
        let report = sim::run(&system, &scenario, seed, options).unwrap_or_else(|e| panic!("{e}"));
        vns += report.virtual_ns;
        for (k, v) in report.dose {
            *dose.entry(k).or_default() += v;
        }
        if let Some(f) = report.failure {
            let e = sigs.entry(f.signature).or_insert((0, seed, f.explanation));
            e.0 += 1;
        }
    }
    println!("{:?} wall, {:.0} virtual s", start.elapsed(), vns as f64 / 1e9);
    for (k, v) in &dose {
        print!("{k}={v} ");
    }
    println!();
    for (s, (c, seed, e)) in sigs {
        println!("== {s} x{c} first seed {seed}\n{e}");
    }
}
