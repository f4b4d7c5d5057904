//! A path that is not found is not tested, and no other test would notice.

use autograd::kernels::simd::Isa;

/// Each path, with the flags by which Linux says that the CPU has it; the best last.
const PATHS: [(&str, &[&str]); 4] = [
    ("scalar", &[]),
    ("avx2", &["avx2", "fma"]),
    ("avx512", &["avx512f", "avx512bw", "avx512dq", "avx512vl", "avx2", "fma"]),
    ("neon", &["asimd"]),
];

/// What Linux's own reading of the CPU promises; nothing where there is no such file.
fn promised() -> Option<String> {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = cpuinfo.lines().find(|line| line.starts_with("flags") || line.starts_with("Features"))?;
    let has: Vec<&str> = line.split_whitespace().collect();
    let paths = PATHS.iter().filter(|(_, flags)| flags.iter().all(|flag| has.contains(flag)));
    Some(paths.map(|(name, _)| *name).collect::<Vec<_>>().join(","))
}

/// `AUTOGRAD_EXPECT_SIMD`, as in `scalar,avx2`, takes the place of Linux's word where a program emulates the CPU: under
/// `.ci/emulate`, valgrind and the like.
#[test]
fn the_paths_this_machine_must_have_are_there() {
    let found = Isa::available().iter().map(Isa::to_string).collect::<Vec<_>>().join(",");
    match std::env::var("AUTOGRAD_EXPECT_SIMD").ok().or_else(promised) {
        Some(expected) => assert_eq!(found, expected, "paths found, and those there must be"),
        None => eprintln!("nothing to compare with: {found}"),
    }
}
