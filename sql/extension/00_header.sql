/* precmkt: precision marketing inside PostgreSQL. */

-- complain if the script is sourced in psql rather than by CREATE EXTENSION
\echo Use "CREATE EXTENSION precmkt" to load this file. \quit

