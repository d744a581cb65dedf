use weft_numerics::inv_freq::{default, scale_linear, scale_llama3, Llama3};

/// Made by `gen/inv_freq.py`.
const REFERENCE: &str = include_str!("../../../../fixtures/numerics/inv_freq.txt");

#[test]
fn frequencies_should_equal_the_reference_bit_for_bit() {
    let mut lines = 0;
    for line in REFERENCE.lines() {
        let mut words = line.split(' ');
        let mut number = || words.next().unwrap().parse::<f64>().unwrap();
        let (theta, d) = (number(), number() as u32);
        let mut got = default(theta, d).unwrap();
        match words.next().unwrap() {
            "linear" => scale_linear(&mut got, words.next().unwrap().parse().unwrap()),
            "llama3" => {
                let mut number = || words.next().unwrap().parse::<f64>().unwrap();
                let p = Llama3 {
                    factor: number(),
                    low_freq_factor: number(),
                    high_freq_factor: number(),
                    original_context: number() as u32,
                };
                scale_llama3(&mut got, &p);
            }
            kind => assert_eq!(kind, "none"),
        }
        let want: Vec<u32> = words.map(|w| u32::from_str_radix(w, 16).unwrap()).collect();
        assert_eq!(got.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), want, "{theta} {d}");
        lines += 1;
    }
    assert_eq!(lines, 22);
}

#[test]
fn frequencies_should_be_refused_outside_the_range() {
    for (theta, d) in [(0.5, 64), (f64::NAN, 64), (f64::INFINITY, 64), (1e4, 63), (1e4, 0), (1e4, 2_000)] {
        assert!(default(theta, d).is_none());
    }
    assert_eq!(default(1e4, 2).unwrap(), [1.0]);
}
