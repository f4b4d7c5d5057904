//! Pictures made for tests.

use ::png::{BitDepth, ColorType, Encoder};
use std::fs;
use tempfile::TempDir;

/// A folder with these files.
pub(super) fn folder(files: &[(&str, Vec<u8>)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    dir
}

/// A PNG of the given samples, with a palette if it has one.
pub(super) fn png_of(
    (height, width): (u32, u32),
    (colours, depth): (ColorType, BitDepth),
    samples: &[u8],
    palette: &[u8],
) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, width, height);
    encoder.set_color(colours);
    encoder.set_depth(depth);
    if !palette.is_empty() {
        encoder.set_palette(palette);
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(samples).unwrap();
    writer.finish().unwrap();
    file
}

/// A PNG of 8 bits and as many channels as the samples are.
pub(super) fn png(height: usize, width: usize, samples: &[u8]) -> Vec<u8> {
    let colours = match samples.len() / (height * width) {
        1 => ColorType::Grayscale,
        2 => ColorType::GrayscaleAlpha,
        3 => ColorType::Rgb,
        _ => ColorType::Rgba,
    };
    png_of((height as u32, width as u32), (colours, BitDepth::Eight), samples, &[])
}

/// A grey PNG of 2 × 3 pixels, all of them `value`.
pub(crate) fn grey(value: u8) -> Vec<u8> {
    png(2, 3, &[value; 6])
}

/// A coloured picture of 20 × 30 pixels, row by row.
pub(super) fn gradient() -> Vec<u8> {
    (0..600).flat_map(|i| [8 * (i % 30) as u8, 12 * (i / 30) as u8, ((i % 30) * (i / 30) / 3) as u8]).collect()
}

/// A JPEG of flat blocks.
#[derive(Clone)]
pub(super) struct Jpeg<'a> {
    pub(super) height: usize,
    pub(super) width: usize,
    /// What the frame begins with: `c0` for baseline, `c2` for progressive.
    pub(super) frame: u8,
    /// The identifier of each component, and how often it is sampled, across and down.
    pub(super) components: &'a [(u8, usize, usize)],
    /// The components of each scan.
    pub(super) scans: &'a [&'a [usize]],
    /// Blocks, or groups of them, between restarts; 0 for none.
    pub(super) restart: usize,
    /// Segments before all others.
    pub(super) segments: Vec<u8>,
}

impl Jpeg<'_> {
    /// The file, in which the samples of a component's block have one value.
    pub(super) fn file(&self, value: impl Fn(usize, usize, usize) -> u8) -> Vec<u8> {
        let progressive = self.frame == 0xc2;
        let most = |factor: fn(&(u8, usize, usize)) -> usize| self.components.iter().map(factor).max().unwrap();
        let (across, down) = (most(|c| c.1), most(|c| c.2));
        let mut file = [&[0xff, 0xd8], &self.segments[..]].concat();
        // All steps are 8, so that the first coefficient is the mean; a code of four bits for each length of a difference,
        // `0` for the end of a block.
        file.extend(segment(0xdb, &[&[0][..], &[8; 64]].concat()));
        let [high, low] = (self.height as u16).to_be_bytes();
        let [left, right] = (self.width as u16).to_be_bytes();
        let mut frame = vec![8, high, low, left, right, self.components.len() as u8];
        frame.extend(self.components.iter().flat_map(|&(id, h, v)| [id, (h << 4 | v) as u8, 0]));
        file.extend(segment(self.frame, &frame));
        let lengths: Vec<u8> = (0..12).collect();
        file.extend(segment(0xc4, &[&[0, 0, 0, 0, 12][..], &[0; 12], &lengths].concat()));
        file.extend(segment(0xc4, &[&[0x10, 1][..], &[0; 15], &[0]].concat()));
        if self.restart > 0 {
            file.extend(segment(0xdd, &(self.restart as u16).to_be_bytes()));
        }
        let all: Vec<[usize; 1]> = (0..self.components.len()).map(|k| [k]).collect();
        let first = self.scans.iter().map(|scan| (*scan, if progressive { (0, 0) } else { (0, 63) }));
        let rest = all.iter().filter(|_| progressive).map(|scan| (&scan[..], (1, 63)));
        for (scan, (start, end)) in first.chain(rest) {
            let mut header = vec![scan.len() as u8];
            header.extend(scan.iter().flat_map(|&k| [self.components[k].0, 0]));
            header.extend([start, end, 0]);
            file.extend(segment(0xda, &header));
            // Groups of blocks: of a single component, those that have pixels; of several, all that belong to one place.
            let groups: Vec<Vec<(usize, usize, usize)>> = match *scan {
                [k] => {
                    let (_, h, v) = self.components[k];
                    let blocks =
                        |length: usize, factor: usize, most: usize| (length * factor).div_ceil(most).div_ceil(8);
                    let (rows, columns) = (blocks(self.height, v, down), blocks(self.width, h, across));
                    (0..rows * columns).map(|i| vec![(k, i / columns, i % columns)]).collect()
                }
                _ => {
                    let (rows, columns) = (self.height.div_ceil(8 * down), self.width.div_ceil(8 * across));
                    let group = |i: usize| {
                        let of = |&k: &usize| {
                            let (_, h, v) = self.components[k];
                            (0..v * h).map(move |j| (k, i / columns * v + j / h, i % columns * h + j % h))
                        };
                        scan.iter().flat_map(of).collect()
                    };
                    (0..rows * columns).map(group).collect()
                }
            };
            let every = if self.restart > 0 { self.restart } else { groups.len() };
            for (n, groups) in groups.chunks(every).enumerate() {
                if n > 0 {
                    file.extend([0xff, 0xd0 + (n as u8 - 1) % 8]);
                }
                let (mut bits, mut last) = (String::new(), [128; 4]);
                for &(k, row, column) in groups.iter().flatten() {
                    if start == 0 {
                        let now = i32::from(value(k, row, column));
                        let difference = now - last[k];
                        last[k] = now;
                        let length = (32 - difference.unsigned_abs().leading_zeros()) as usize;
                        bits += &format!("{length:04b}");
                        let coded = if difference < 0 { difference + (1 << length) - 1 } else { difference };
                        bits += &if length > 0 { format!("{coded:0length$b}") } else { String::new() };
                    }
                    bits += if end > 0 { "0" } else { "" };
                }
                bits += &"1".repeat(bits.len().next_multiple_of(8) - bits.len());
                for byte in bits.as_bytes().chunks(8) {
                    let byte = byte.iter().fold(0, |byte, bit| byte << 1 | (bit - b'0'));
                    file.push(byte);
                    file.extend((byte == 0xff).then_some(0));
                }
            }
        }
        file.extend([0xff, 0xd9]);
        file
    }
}

/// A marker and what follows it.
pub(super) fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
    [&[0xff, marker], &(content.len() as u16 + 2).to_be_bytes()[..], content].concat()
}

/// A grey JPEG of 2 × 3 pixels, all of them `value`.
pub(crate) fn grey_jpeg(value: u8) -> Vec<u8> {
    let one = Jpeg {
        height: 2,
        width: 3,
        frame: 0xc0,
        components: &[(1, 1, 1)],
        scans: &[&[0]],
        restart: 0,
        segments: vec![],
    };
    one.file(|_, _, _| value)
}
