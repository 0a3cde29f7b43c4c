# gearman-worker stream --function reverse -- perl examples/perl/reverse.pl
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use GearmanStream;

GearmanStream::run(sub {
    my $job = shift;
    die "nothing to reverse\n" if $job->workload eq '';
    print 'reversing ', length $job->workload, " bytes\n";    # goes to the worker's log
    $job->status(1, 2);
    return scalar reverse $job->workload;
});
