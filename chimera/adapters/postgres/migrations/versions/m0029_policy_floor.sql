-- Whether a default has a floor, so that decisions name it without reading the policy. Those that are there have none.
alter table policy add column has_floor boolean not null default false;
