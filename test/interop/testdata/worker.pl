#!/usr/bin/perl
# A worker on Perl's Gearman::Worker, for the interop tests: worker.pl HOST PORT
use strict;
use warnings;
use Gearman::Worker;

my $worker = Gearman::Worker->new(job_servers => ["$ARGV[0]:$ARGV[1]"]);
$worker->register_function(reverse => sub { scalar reverse $_[0]->arg });
$worker->register_function(progress => sub {
    my $job = shift;
    $job->set_status(1, 3); # its send_work_status writes a packet without the denominator, which gearmand waits for for good
    $worker->send_work_data($job, "part\0of");
    $worker->send_work_warning($job, 'careful');
    return 'done';
});
$worker->register_function(fail => sub { undef });
$worker->register_function(except => sub { $worker->send_work_exception($_[0], 'boom'); undef });
$worker->work while 1;
