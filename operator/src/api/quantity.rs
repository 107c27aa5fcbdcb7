//! Amounts as Kubernetes writes them: `100m`, `1.5Gi`.

/// An amount in millionths of its unit, so that all that this project's schema takes are exact; none if the
/// text is no amount.
pub fn millionths(text: &str) -> Option<u128> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str, most| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !digits(whole, 15) || !digits(fraction, 3) {
        return None;
    }
    let thousandths: u128 = format!("{whole}{fraction:0<3}").parse().ok()?;
    let per_thousandth = match suffix {
        "m" => 1,
        "" => 1000,
        "k" => 1000 * 1000,
        "M" => 1000 * 1000_u128.pow(2),
        "G" => 1000 * 1000_u128.pow(3),
        "T" => 1000 * 1000_u128.pow(4),
        "Ki" => 1000 * 1024,
        "Mi" => 1000 * 1024_u128.pow(2),
        "Gi" => 1000 * 1024_u128.pow(3),
        "Ti" => 1000 * 1024_u128.pow(4),
        _ => return None,
    };
    Some(thousandths * per_thousandth)
}

#[cfg(test)]
mod tests {
    use super::millionths;

    #[test]
    fn equal_amounts_are_equal_however_they_are_written() {
        for (a, b) in [
            ("1", "1000m"),
            ("0.5", "500m"),
            ("1.5Gi", "1536Mi"),
            ("1k", "1000"),
            ("2.25M", "2250k"),
        ] {
            assert_eq!(millionths(a).unwrap(), millionths(b).unwrap(), "{a} {b}");
        }
        assert!(millionths("1Gi") > millionths("1G"));
        // The greatest that the schema takes.
        assert!(millionths("999999999999999.999Ti") > millionths("1Ti"));
        for none in ["", "m", "-1", "1.", ".5", "1 Gi", "1e3", "1.2345", "ü"] {
            assert_eq!(millionths(none), None, "{none}");
        }
    }
}
