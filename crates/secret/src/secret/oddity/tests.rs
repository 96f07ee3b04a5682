use super::*;

#[test]
fn what_is_odd_about_a_value_is_found_and_nothing_about_a_good_one() {
    for (value, told) in [
        ("$SHOP_SECRET", "looks like the name of a variable"),
        ("${SHOP_SECRET}", "looks like the name of a variable"),
        ("%SHOP_SECRET%", "looks like the name of a variable"),
        ("{{ shop.secret }}", "looks like the name of a variable"),
        ("`pass show shop`", "looks like a command of a shell"),
        ("$(pass show shop)", "looks like a command of a shell"),
        ("ENV:SHOP_SECRET", "looks like a reference, but is not one"),
        ("env :SHOP_SECRET", "looks like a reference, but is not one"),
        (
            "cmd:pass show shop",
            "looks like a reference, but is not one",
        ),
        ("/run/secrets/shop", "looks like the path of a file"),
        ("./shop.key", "looks like the path of a file"),
        (
            "~/shop.key\n",
            "looks like the path of a file ends with a newline",
        ),
        ("SHOP_SECRET=s3cret", "begins with the name of a variable"),
        (
            "export SHOP_SECRET='s3cret'\n",
            "begins with the name of a variable ends with a newline",
        ),
        ("…", "looks like a placeholder"),
        ("...", "looks like a placeholder"),
        ("<client secret>", "looks like a placeholder"),
        ("\"s3cret\"", "is in quotation marks"),
        ("'s3cret'", "is in quotation marks"),
        ("s3cret\n", "ends with a newline"),
        ("s3cret\r", "ends with a newline"),
        ("s3cret ", "ends with a blank"),
        ("s3cret\u{a0}", "ends with a blank"),
        ("\ts3cret", "starts with a blank"),
        ("\u{feff}s3cret", "starts with an invisible character"),
        ("s3\u{200b}cret", "contains an invisible character"),
        ("s3\ncret", "contains a newline"),
        ("\n", "starts with a newline"),
        (" s3cret\n", "starts with a blank ends with a newline"),
        (
            " env:X",
            "looks like a reference, but is not one starts with a blank",
        ),
    ] {
        let found: Vec<_> = of(value).iter().map(Oddity::to_string).collect();
        assert_eq!(found.join(" "), told, "{value:?}");
    }
    for value in [
        "",
        "s3cret",
        "pass phrase of words",
        "k&1=4+%2Bq",
        "$2b$10$N9qo8uLOickgx2ZMRZoMye",
        "100%",
        "/k3y/and+more=",
        "a:b",
        "QUJD_w==",
        "A_B==",
        "shop_secret=1",
        "K3Y=s3cret",
        "a<b>c",
        "s3cret...",
        "Zürich",
        "-----BEGIN PRIVATE KEY-----\nMC4\n-----END PRIVATE KEY-----\n",
        "{\"kty\": \"OKP\"}\n",
    ] {
        assert_eq!(of(value), [], "{value:?}");
    }
}
