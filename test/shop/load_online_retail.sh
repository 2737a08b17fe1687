#!/usr/bin/env bash
# Loads the real shop, UCI Online Retail, into schema "shop" of a database.
#
#   load_online_retail.sh [DATA]
#
# DATA is the folder of online_retail.csv.xz: by default $PRECMKT_DATA, else
# ../shared/data beside the repository.  The database is the one that psql
# finds by PGHOST, PGPORT, PGUSER and PGDATABASE.  Exits with 2, and says so,
# where the data is absent: the caller then takes pm_demo_shop() instead.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
data=${1:-${PRECMKT_DATA:-$here/../../../shared/data}}
file=$data/online_retail.csv.xz

if [ ! -r "$file" ]; then
    echo "load_online_retail.sh: no $file: the real shop is not loaded" >&2
    exit 2
fi
if ! command -v xz >/dev/null; then
    echo "load_online_retail.sh: xz is missing (Debian: apt install xz-utils)" >&2
    exit 1
fi

# one transaction: the schema is there whole or not at all
xz -dc "$file" | psql -X -q -1 -v ON_ERROR_STOP=1 -f "$here/online_retail.sql"
