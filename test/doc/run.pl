#!/usr/bin/perl
#
# run.pl
#	Runs the SQL blocks of Markdown files and compares the output they show.
#
#	perl test/doc/run.pl ROOT FILE.md ...
#
# Connects by libpq's environment variables.  Each file runs in one psql
# session, in a fresh database that has the extension and the demo shop.  Every
# ```sql block is one test: it passes when it raises no error and, where a
# ```text block follows it directly, prints that text as psql would.
#
# HTML comments, which a reader of the page does not see, say what else to expect
#
#	<!-- error: 22023 -->	before a sql block: it raises this SQLSTATE
#	<!-- not run: why -->	before a sql block: it is skipped
#	<!-- output varies -->	before a text block: "..." in it stands for anything,
#				alone on a line for any lines; widths may differ
#	<!-- empty database -->	before the first block: no extension, no shop
#
# The last line is "N passed, N failed".

use strict;
use warnings;
use File::Temp qw(tempdir);

my $dir = tempdir('precmkt_doc.XXXXXX', TMPDIR => 1, CLEANUP => 1);

# Read a file into a list of blocks { sql, line, error, skip, text, varies }
# and whether it wants an empty database.
sub read_blocks
{
	my ($path) = @_;
	my ($note, $fence, $kind, $start, $body, $empty) = ('', undef, '', 0, '', 0);
	my (@blocks, $last);

	open(my $fh, '<:encoding(UTF-8)', $path) or die "$path: $!\n";
	while (my $line = <$fh>)
	{
		$line =~ s/\r?\n$//;
		if (defined $fence)
		{
			if ($line =~ /^\s*\Q$fence\E\s*$/)
			{
				if ($kind eq 'sql')
				{
					$last = { sql => $body, line => $start };
					$last->{error} = $1 if $note =~ /error:\s*([0-9A-Z]{5})/;
					$last->{skip} = $1 if $note =~ /not run:\s*(.*?)\s*-->/;
					push @blocks, $last;
				}
				elsif ($kind eq 'text' && $last)
				{
					$last->{text} = $body;
					$last->{varies} = 1 if $note =~ /output varies/;
					$last = undef;
				}
				else
				{
					$last = undef;
				}
				($fence, $note) = (undef, '');
			}
			else
			{
				$body .= "$line\n";
			}
		}
		elsif ($line =~ /^\s*(```+|~~~+)\s*(\w*)/)
		{
			($fence, $kind, $start, $body) = ($1, $2, $., '');
		}
		elsif ($line =~ /^\s*<!--.*-->\s*$/)
		{
			$note .= $line;
			$empty = 1 if $line =~ /empty database/ && !@blocks;
		}
		elsif ($line =~ /\S/)
		{
			($last, $note) = (undef, '');
		}
	}
	close($fh);
	die "$path:$start: this block has no end\n" if defined $fence;
	return (\@blocks, $empty);
}

# Run SQL through psql; its output and its errors, as two strings.
sub psql
{
	my ($dbname, $script) = @_;
	my $base = "$dir/psql";

	open(my $fh, '>:encoding(UTF-8)', "$base.sql") or die "$base.sql: $!\n";
	print $fh $script;
	close($fh);
	system("psql -X -q -d '$dbname' < '$base.sql' > '$base.out' 2> '$base.err'");
	my @texts = map {
		open(my $in, '<:encoding(UTF-8)', $_) or die "$_: $!\n";
		local $/;
		<$in> // '';
	} ("$base.out", "$base.err");
	return @texts;
}

# Split psql's output at the marks that end the blocks.
sub split_marks
{
	my ($text) = @_;
	my (%part, %mark);

	while ($text =~ s/\A(.*?)^<<end of block (\d+) (\S*)>>\n//ms)
	{
		($part{$2}, $mark{$2}) = ($1, $3);
	}
	return (\%part, \%mark, $text);
}

# Trim what no reader sees: blanks at line ends, empty lines around.
sub tidy
{
	my ($text) = @_;
	$text =~ s/[ \t]+$//mg;
	$text =~ s/\A\n+//;
	$text =~ s/\n+\z//;
	return "$text\n";
}

# The pattern that the output of a block marked "output varies" must match.
sub loose_pattern
{
	my ($text) = @_;
	my @lines;

	foreach my $line (split /\n/, loosen($text))
	{
		if ($line =~ /^\s*\.\.\.\s*$/)
		{
			push @lines, '(?:[^\n]*\n)*?';
		}
		else
		{
			push @lines, join('[^\n]*?', map { quotemeta } split(/\.\.\./, $line, -1)) . '\n';
		}
	}
	my $pattern = join('', @lines);
	return qr/\A$pattern\z/;
}

# Make widths of columns irrelevant.
sub loosen
{
	my ($text) = @_;
	$text = tidy($text);
	$text =~ s/-+/-/g;
	$text =~ s/^ +//mg;
	$text =~ s/ +/ /g;
	return $text;
}

# True when the text of the page is what psql printed.  Messages may stand
# before or after the rows.
sub same_output
{
	my ($block, $out, $err) = @_;

	foreach my $got ($out, "$err$out", "$out$err")
	{
		return 1 if tidy($got) eq tidy($block->{text});
		return 1 if $block->{varies} && loosen($got) =~ loose_pattern($block->{text});
	}
	return 0;
}

# What is wrong with a block's outcome, or undef.
sub complaint
{
	my ($block, $out, $err, $state) = @_;
	my $failed = $err =~ /^(?:ERROR|FATAL|PANIC):/m || $err =~ /^(?:invalid command|psql:|error:)/m;

	return "was not reached" unless defined $out;
	if ($block->{error})
	{
		return "raised no error, not $block->{error}" unless $failed;
		return "raised $state, not $block->{error}\n$err" if $state ne $block->{error};
	}
	elsif ($failed)
	{
		return "raised an error ($state)\n$err";
	}
	if (defined $block->{text} && !same_output($block, $out, $err))
	{
		return "printed something else than the page says\n"
		  . "--- the page\n" . tidy($block->{text})
		  . "--- psql\n" . tidy($err . $out);
	}
	return undef;
}

# Run one SQL command that has to work.
sub must
{
	my ($dbname, $sql) = @_;
	my ($out, $err) = psql($dbname, $sql);
	die "$sql: $err" if $err =~ /^(?:ERROR|FATAL|psql:)/m;
	return $out;
}

my $root = shift @ARGV;
my ($passed, $failed) = (0, 0);
my $template;

binmode(STDOUT, ':encoding(UTF-8)');
$ENV{PAGER} = 'cat';
$ENV{PGOPTIONS} = '';

foreach my $path (@ARGV)
{
	my ($blocks, $empty) = read_blocks($path);
	my ($name, $script) = ($path, '');
	$name =~ s/^\Q$root\E\/?//;
	next unless @$blocks;

	# the shop is made once and copied
	if (!$empty && !$template)
	{
		$template = 'doc_template';
		must('postgres', "DROP DATABASE IF EXISTS $template;\nCREATE DATABASE $template;\n");
		must($template, "CREATE EXTENSION precmkt;\n");
		must($template, "SELECT * FROM pm_demo_shop();\n");
		must($template, "VACUUM ANALYZE;\n");
	}
	must('postgres', "DROP DATABASE IF EXISTS doc_page;\nCREATE DATABASE doc_page"
		  . ($empty ? '' : " TEMPLATE $template") . ";\n");

	foreach my $i (0 .. $#$blocks)
	{
		next if $blocks->[$i]{skip};
		$script .= "\\set LAST_ERROR_SQLSTATE 00000\n$blocks->[$i]{sql}";
		$script .= ";\n" unless $blocks->[$i]{sql} =~ /(?:;|^\s*\\[^\n]*)\s*\z/m;
		$script .= "\\echo '<<end of block' $i :LAST_ERROR_SQLSTATE'>>'\n\\warn '<<end of block' $i -'>>'\n";
	}
	my ($out, $err) = psql('doc_page', $script);
	my ($outs, $states, $rest) = split_marks($out);
	my ($errs, undef, $rest_err) = split_marks($err);

	foreach my $i (0 .. $#$blocks)
	{
		my $block = $blocks->[$i];
		if ($block->{skip})
		{
			print "SKIP $name:$block->{line}: $block->{skip}\n";
			next;
		}
		my $complaint = complaint($block, $outs->{$i}, $errs->{$i} // '', $states->{$i} // '');
		if (defined $complaint)
		{
			print "$name:$block->{line}: this block $complaint\n";
			$failed++;
		}
		else
		{
			$passed++;
		}
	}
	print "$name: the session ended early\n$rest_err\n" if $rest_err ne '';
}

must('postgres', "DROP DATABASE IF EXISTS doc_page;\nDROP DATABASE IF EXISTS doc_template;\n");
print "$passed passed, $failed failed\n";
exit($failed ? 1 : 0);
