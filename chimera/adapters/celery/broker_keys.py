"""The keys that are Chimera's own at the broker; who writes each says what stands in it."""

TENANTS = "chimera:tenants"
BOUND = "chimera:bound"
EPOCH = "chimera:epoch"
REFUSED = "chimera:refused"
QUARANTINE = "chimera:quarantine"
WORKERS = "chimera:workers"
