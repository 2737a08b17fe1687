#!/bin/bash
#
# demo.sh
#	A shop, its customer segments and its clicks, from a fresh machine:
#	installs what is missing, builds precmkt, starts a private server, loads a
#	shop and asks the questions of demo.sql and demo_clicks.sql.  Nothing is
#	left behind but the packages and the installed extension.

# shellcheck source=test/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

# Where the impressions are: a real shop has none.
CLICK_SHOP=shop

# Load the real shop where its data is, else one that precmkt makes up.
load_shop() {
	local start

	start=$(now_ms)
	run_psql -c "CREATE EXTENSION precmkt CASCADE" 2>/dev/null
	if [ -n "$DATA" ]; then
		say "Loading a real shop: UCI Online Retail."
		bash "$REPO/test/shop/load_online_retail.sh" "$DATA"
		say "Making up another one, for its impressions."
		CLICK_SHOP=made_up_shop
		run_psql -c "SELECT * FROM pm_demo_shop('$CLICK_SHOP')"
	else
		say "Making up a shop ($NO_DATA)."
		run_psql -c "SELECT * FROM pm_demo_shop()"
	fi
	run_psql -c "ANALYZE"
	say "The shop is open after $(seconds_since "$start")."
}

# Everything.
main() {
	local start

	start=$(now_ms)
	begin
	need demo
	build_and_install
	start_server
	load_shop
	"$BINDIR/psql" -X -f "$REPO/test/demo.sql" </dev/null
	"$BINDIR/psql" -X -v shop="$CLICK_SHOP" -f "$REPO/test/demo_clicks.sql" </dev/null
	say ""
	say "The demo took $(seconds_since "$start") in all.  Where to read on: README.md"
}

main "$@"
