# PrecmktTest.pm
#	What the TAP tests share: a server with precmkt, and short ways to ask
#	it.  Servers are PostgreSQL::Test::Cluster's.

package PrecmktTest;

use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(new_server value is_value sqlstate fails_with
  new_session session_state wait_until);

# A running server.  Further lines go to postgresql.conf; precmkt is created
# in database postgres unless extension => 0.
sub new_server
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(%{ $options{init} // {} });
	$node->append_conf('postgresql.conf', "fsync = off\n" . ($options{conf} // ''));
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION precmkt CASCADE')
	  if $options{extension} // 1;
	return $node;
}

# The output of SQL that has to work.
sub value
{
	my ($node, $sql, %options) = @_;
	return $node->safe_psql($options{dbname} // 'postgres', $sql, %options);
}

# One test: SQL gives this value.
sub is_value
{
	my ($node, $sql, $expected, $name, %options) = @_;
	return is(value($node, $sql, %options), $expected, $name);
}

# The SQLSTATE that SQL ends with, 00000 when it works, and the message.
# Options: dbname, user, before (SQL to run first, in the same session).
sub sqlstate
{
	my ($node, $sql, %options) = @_;
	my @user = $options{user} ? (extra_params => [ '-U', $options{user} ]) : ();
	my $before = $options{before} ? "$options{before};\n" : '';
	my ($status, $out, $err) = $node->psql($options{dbname} // 'postgres',
		"\\set VERBOSITY verbose\n$before$sql", on_error_stop => 1, @user);

	return ('00000', $out) if $status == 0;
	return ($1, $2) if $err =~ /(?:ERROR|FATAL):\s+([0-9A-Z]{5}):\s*(.*)/s;
	return ('?????', $err);
}

# One test: SQL fails with this SQLSTATE, and with a message like a pattern
# where options name one (like => qr/.../).
sub fails_with
{
	my ($node, $sql, $expected, $name, %options) = @_;
	my ($state, $message) = sqlstate($node, $sql, %options);
	my $good = $state eq $expected && (!$options{like} || $message =~ $options{like});

	return ok($good, $name) || diag("SQLSTATE $state: $message");
}

# A session that stays, beside the test: a BackgroundPsql, its process id in
# {backend}.
sub new_session
{
	my ($node, %options) = @_;
	my $session = $node->background_psql($options{dbname} // 'postgres',
		on_error_stop => 0);

	$session->set_query_timer_restart;
	$session->query_safe("\\set VERBOSITY verbose\nSET client_min_messages = error");
	$session->{backend} = $session->query_safe('SELECT pg_backend_pid()');
	return $session;
}

# What SQL in such a session ends with, like sqlstate().
sub session_state
{
	my ($session, $sql) = @_;

	$session->{stderr} = '';
	my $out = $session->query($sql);
	my $err = $session->{stderr};

	$session->{stderr} = '';
	return ($1, $2) if $err =~ /(?:ERROR|FATAL):\s+([0-9A-Z]{5}):\s*(.*)/s;
	return ('00000', $out);
}

# Wait until SQL gives true, at most $PostgreSQL::Test::Utils::timeout_default
# seconds.
sub wait_until
{
	my ($node, $sql) = @_;
	return $node->poll_query_until('postgres', $sql);
}

1;
