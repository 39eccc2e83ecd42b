//! The names of the invariants, as scenarios write them.

pub const ONE_OWNER: &str = "one-owner";
pub const ONE_HOLDER: &str = "one-holder";
pub const ADDRESS_SERVED: &str = "address-served";
pub const DEAD_DESTINATION: &str = "no-dead-destination";
pub const TABLES_SETTLE: &str = "tables-settle";
pub const BOUNDED_ROLE_CHANGES: &str = "bounded-role-changes";
pub const SILENT_AFTER_STOP: &str = "silent-after-stop";
pub const SETTLES: &str = "settles";
pub const HEALTH_SETTLES: &str = "health-settles";
pub const TAKEOVER_IN_ORDER: &str = "takeover-in-order";
pub const QUIET_ANNOUNCEMENTS: &str = "quiet-announcements";
pub const UPGRADE_UNNOTICED: &str = "upgrade-unnoticed";
pub const LIFETIME: &str = "lifetime";
pub const LEASE_TAKEN: &str = "lease-taken";
pub const WORKER_KEPT: &str = "worker-kept";
pub const FORGERY_REFUSED: &str = "forgery-refused";
pub const FAULT_HAS_CAUSE: &str = "fault-has-cause";
pub const GROUP_WHOLE: &str = "group-whole";
pub const ROUTES_OF_MASTER: &str = "routes-of-master";
pub const CONNECTION_KEPT: &str = "connection-kept";

/// All of them.
pub const ALL: [&str; 20] = [
    ONE_OWNER,
    ONE_HOLDER,
    ADDRESS_SERVED,
    DEAD_DESTINATION,
    TABLES_SETTLE,
    BOUNDED_ROLE_CHANGES,
    SILENT_AFTER_STOP,
    SETTLES,
    HEALTH_SETTLES,
    TAKEOVER_IN_ORDER,
    QUIET_ANNOUNCEMENTS,
    UPGRADE_UNNOTICED,
    LIFETIME,
    LEASE_TAKEN,
    WORKER_KEPT,
    FORGERY_REFUSED,
    FAULT_HAS_CAUSE,
    GROUP_WHOLE,
    ROUTES_OF_MASTER,
    CONNECTION_KEPT,
];
