-- Run by the image of PostgreSQL when its volume is empty: the owner, who may make roles and is no superuser, since those
-- pass by row-level security, and the database. The password comes from the environment: no list of processes shows it.
\set ON_ERROR_STOP on
\getenv password CHIMERA_OWNER_PASSWORD
create role chimera_owner login createrole nosuperuser password :'password';
create database chimera owner chimera_owner;
