//! Who may name whom.

/// Which modules of the crate a module may name (docs/architecture.md, What may import what).
pub(crate) const LAYERS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("quorum", &["base"]),
    ("message", &["base"]),
    ("replica", &["base", "quorum", "message"]),
    ("apply", &["base"]),
    ("wire", &["base", "message"]),
    ("disk", &[]),
    ("resp", &[]),
    ("snapshot", &["base", "wire", "disk"]),
    ("wal", &["base", "message", "replica", "wire", "disk"]),
    ("store", &["base", "replica", "disk", "snapshot", "wal"]),
    ("check", &["base", "quorum", "message", "replica", "apply", "disk", "wal"]),
    (
        "sim",
        &[
            "base", "quorum", "message", "replica", "apply", "wire", "check", "disk", "wal",
            "snapshot", "store",
        ],
    ),
    ("runtime", &["base", "message", "replica", "apply", "disk", "snapshot", "wal", "store"]),
    ("net", &["base", "runtime", "snapshot", "wire"]),
    ("serve", &["base", "quorum", "replica", "apply", "disk", "check", "runtime", "net", "resp"]),
    (
        "compare",
        &[
            "base", "quorum", "replica", "apply", "disk", "wal", "snapshot", "store", "check",
            "sim", "runtime", "serve",
        ],
    ),
];
