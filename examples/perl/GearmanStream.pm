# Takes jobs from `gearman-worker stream`: one message for each on descriptor 3, the answer on descriptor 4 (docs/stream.md).
#
#   use GearmanStream;
#   GearmanStream::run(sub {
#       my $job = shift;
#       $job->status(1, 2);
#       return scalar reverse $job->workload;
#   });
#
# A die fails the job with its message. Standard output and standard error go to the worker's log.
package GearmanStream;
use strict;
use warnings;
use JSON::PP ();

my $json = JSON::PP->new->utf8;
my ($in, $out);

sub run {
    my ($handler) = @_;
    $| = 1;
    open($in, '<&=:raw', 3) && open($out, '>&=:raw', 4)
        or die "descriptors 3 and 4 are not open: start this by gearman-worker stream -- perl ...\n";
    _read();    # the worker's hello
    _send({ type => 'ready', version => 1 });
    while (my ($header, $body) = _read()) {
        if ($header->{type} eq 'ping') {
            _send({ type => 'pong', id => $header->{id} });
            next;
        }
        my $job = bless { %$header, workload => $body }, 'GearmanStream::Job';
        my $result;
        if (eval { $result = $handler->($job); 1 }) {
            _send({ type => 'complete', id => $header->{id} }, $result);
        } else {
            my $error = $@;
            warn $error;
            chomp $error;
            _send({ type => 'fail', id => $header->{id} }, $error);
        }
    }
    return;
}

# Returns nothing when the worker wants no more of this process.
sub _read {
    defined(my $line = readline $in) or return;
    my $header = $json->decode($line);
    my $size = $header->{bytes} // 0;
    my $body = '';
    while ($size > length $body) {
        read($in, $body, $size - length $body, length $body) or return;
    }
    return ($header, $body);
}

sub _send {
    my ($header, $body) = @_;
    $body = '' unless defined $body;
    utf8::encode($body) if utf8::is_utf8($body);
    my $message = $json->encode({ %$header, bytes => length $body }) . "\n" . $body;
    print {$out} $message or die "descriptor 4: $!\n";
    $out->flush or die "descriptor 4: $!\n";
    return;
}

package GearmanStream::Job;

sub function { return $_[0]{function} }
sub handle   { return $_[0]{handle} }
sub unique   { return $_[0]{unique} }
sub workload { return $_[0]{workload} }

# Reports the progress of the job to the client.
sub status {
    my ($self, $numerator, $denominator) = @_;
    return GearmanStream::_send({ type => 'status', id => $self->{id}, numerator => $numerator + 0, denominator => $denominator + 0 });
}

# Sends a part of the result now.
sub data { return GearmanStream::_send({ type => 'data', id => $_[0]{id} }, $_[1]) }

# Sends a warning now.
sub warning { return GearmanStream::_send({ type => 'warning', id => $_[0]{id} }, $_[1]) }

1;
