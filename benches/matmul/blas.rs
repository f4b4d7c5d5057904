//! OpenBLAS, BLIS and MKL, as far as they are found when the benchmark runs.
#![allow(unsafe_code, reason = "libraries in C have no other interface")]

use std::sync::OnceLock;
use std::time::Duration;

use benches::{Family, Layout, Problem};
use libloading::Library;

use crate::contenders::{Contender, Operands};

/// What every such library offers: `C = alpha · A · B + beta · C`, each matrix with the distance of its rows.
type Sgemm = unsafe extern "C" fn(
    order: i32,
    transpose_a: i32,
    transpose_b: i32,
    m: i32,
    n: i32,
    k: i32,
    alpha: f32,
    a: *const f32,
    a_row: i32,
    b: *const f32,
    b_row: i32,
    beta: f32,
    c: *mut f32,
    c_row: i32,
);

/// The values that the interface gives these names.
const BY_ROWS: i32 = 101;
const AS_IT_IS: i32 = 111;
const TRANSPOSED: i32 = 112;

/// A name, the files that it may be in, and where to get it.
const LIBRARIES: [(&str, &[&str], &str); 3] = [
    ("OpenBLAS", &["libopenblas.so.0", "libopenblas.so", "libopenblas.dylib"], "Debian's libopenblas0-pthread"),
    ("BLIS", &["libblis.so.4", "libblis.so", "libblis.dylib"], "Debian's libblis4-pthread"),
    (
        "MKL",
        &["libmkl_rt.so.2", "libmkl_rt.so.3", "libmkl_rt.so"],
        "Debian's libmkl-rt (non-free), or PyPI's mkl with its lib folder in LD_LIBRARY_PATH",
    ),
];

/// How long the threads of OpenBLAS, and of MKL as it is set up here, keep waiting for another product.
const REST: Duration = Duration::from_millis(40);

/// Those that were found. Says, the first time and if asked to, which were not.
fn libraries(report: bool) -> &'static [(&'static str, Sgemm)] {
    static FOUND: OnceLock<Vec<(&str, Sgemm)>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let mut found = Vec::new();
        for (name, files, package) in LIBRARIES {
            match files.iter().find_map(|file| load(file)) {
                Some(sgemm) => found.push((name, sgemm)),
                None if report => eprintln!("{name} was not found ({}); it comes with {package}", files[0]),
                None => {}
            }
        }
        found
    })
}

fn load(file: &str) -> Option<Sgemm> {
    // SAFETY: what such a library runs when it is loaded starts its threads, and nothing else.
    let library = unsafe { Library::new(file) }.ok()?;
    // SAFETY: the type is that of the function of this name in every one of these libraries, with integers of 32 bits,
    // which all of these files have.
    let sgemm = *unsafe { library.get::<Sgemm>(b"cblas_sgemm\0") }.ok()?;
    // Its threads live as long as this process: so does it.
    std::mem::forget(library);
    Some(sgemm)
}

/// The products of the libraries that were found, on as many threads as the environment says.
pub(crate) fn contenders(operands: &Operands, threads: usize) -> Vec<Contender<'_>> {
    let contender = |&(name, sgemm): &(&str, Sgemm)| {
        let product = move |c: &mut [f32]| product(sgemm, operands, c);
        let rest = if threads > 1 { REST } else { Duration::ZERO };
        Contender { rest, ..Contender::new(name, Family::Blas, product) }
    };
    libraries(threads == 1).iter().map(contender).collect()
}

fn product(sgemm: Sgemm, operands: &Operands, c: &mut [f32]) {
    let Operands { problem: Problem { m, n, k, layout, .. }, a, b } = operands;
    let [m, n, k] = [m, n, k].map(|&size| i32::try_from(size).expect("small matrices"));
    let (a_is, a_row) = if *layout == Layout::At { (TRANSPOSED, m) } else { (AS_IT_IS, k) };
    let (b_is, b_row) = if *layout == Layout::Bt { (TRANSPOSED, k) } else { (AS_IT_IS, n) };
    assert!(a.len() == (m * k) as usize && b.len() == (k * n) as usize && c.len() == (m * n) as usize);
    // SAFETY: each matrix has rows · columns numbers, just checked, and its rows follow each other; C is borrowed mutably.
    unsafe { sgemm(BY_ROWS, a_is, b_is, m, n, k, 1.0, a.as_ptr(), a_row, b.as_ptr(), b_row, 0.0, c.as_mut_ptr(), n) };
}
