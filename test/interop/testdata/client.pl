#!/usr/bin/perl
# A client on Perl's Gearman::Client, for the interop tests: client.pl HOST PORT KIND FUNCTION UNIQUE <payload >result
# Events go to stderr, one in a line.
use strict;
use warnings;
use Gearman::Client;

my ($host, $port, $kind, $function, $unique) = @ARGV;
binmode STDIN;
binmode STDOUT;
my $payload = do { local $/; <STDIN> };
$payload = '' unless defined $payload;

sub say_event {
    print STDERR join(' ', map { my $w = $_; $w =~ s/([^A-Za-z0-9_.~-])/sprintf('%%%02X', ord $1)/ge; $w } @_), "\n";
}

my $client = Gearman::Client->new(job_servers => ["$host:$port"], exceptions => 1);
my %opts;
$opts{uniq} = $unique if length $unique;
$opts{priority} = $1 if $kind =~ /^(high|low)/;
if ($kind =~ /background$/) {
    my $handle = $client->dispatch_background($function, \$payload, \%opts) or die "no handle\n";
    $handle =~ s{^.*//}{};
    print $handle;
    exit 0;
}
my $set = $client->new_task_set;
$set->add_task($function, \$payload, {
    %opts,
    on_status    => sub { say_event('status', @_) },
    on_data      => sub { say_event('data', ref $_[0] ? ${ $_[0] } : $_[0]) },
    on_warning   => sub { say_event('warning', ref $_[0] ? ${ $_[0] } : $_[0]) },
    on_exception => sub { say_event('exception', ref $_[0] ? ${ $_[0] } : $_[0]) },
    on_fail      => sub { say_event('fail') },
    on_complete  => sub { say_event('complete'); print ${ $_[0] } },
});
$set->wait;
