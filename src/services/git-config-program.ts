import { bin, programFile, text } from "../language/text.ts";

/**
 * Brings a folder of a git repository to this machine: `git-config SETTINGS`, where settings are the JSON that
 * src/services/git-config.ts writes. The truth is one link, `current`, whose target bears the commit's name; it is
 * swapped by a rename, and what must then be reloaded was written down before. So the program may be killed anywhere.
 *
 * It ends with 0 when nothing is wrong here, also when the repository cannot be reached, and with 1 when it refused a
 * change.
 */
export const gitConfigProgram = programFile(
  "git-config",
  text`#!${bin("perl-base", "perl")}\n${String.raw`use strict;
use warnings;
use Cwd qw(realpath);
use Digest::SHA;
use Fcntl qw(:DEFAULT :flock :mode);
use File::Find;
use File::Path qw(make_path remove_tree);
use IO::Socket::UNIX;
use IPC::Open2;
use JSON::PP;
use POSIX qw(strftime);

my $json = JSON::PP->new->utf8->canonical->pretty;
my $settings = $json->decode(contents($ARGV[0]));
my ($name, $branch) = @$settings{qw(name branch)};
my $base = "/var/lib/git-config/$name";
my $repository = "$base/repository.git";
my ($candidate_ref, $applied_ref) = ("refs/meso/candidate", "refs/meso/applied");
$ENV{PATH} = "/usr/sbin:/usr/bin:/sbin:/bin";
$ENV{LC_ALL} = "C.UTF-8";
umask 0022;

make_path("$base/trees");
# Whoever includes the files finds a folder, if an empty one, before anything came.
if (!-l "$base/current") { make_path("$base/trees/none"); symlink("trees/none", "$base/current") or die "$base/current: $!\n" }
open(my $lock, ">>", "$base/lock") or die "$base/lock: $!\n";
flock($lock, LOCK_EX) or die "$base/lock: $!\n";
my $state = eval { $json->decode(contents("$base/state.json")) } // {};
my $is_same_source = ($state->{repository} // "") eq $settings->{repository} && ($state->{branch} // "") eq $branch;
@$state{qw(name repository branch)} = ($name, $settings->{repository}, $branch);
$state->{$_} //= undef for qw(applied refused failed);
my $began_with = $json->encode([@$state{qw(applied refused failed)}]);

my $ended = eval { finish_pending(); update(); 1 };
my $error = $@;
if ($ended) {
  @$state{qw(refused failed)} = (undef, undef);
} elsif (ref $error) {
  @$state{qw(refused failed)} = (told($state->{refused}, %$error), undef);
} else {
  $state->{failed} = told($state->{failed}, why => $error =~ s/\s+\z//r);
}
expose();
exit($state->{refused} ? 1 : 0);

# --- one update ---

sub update {
  fetch();
  my $commit = line_of("rev-parse", "--verify", "--end-of-options", "$candidate_ref^{commit}");
  my ($tree, $none) = git_says("rev-parse", "--verify", "--quiet", "--end-of-options",
    $settings->{folder} eq "" ? "$commit^{tree}" : "$commit:$settings->{folder}");
  refuse($commit, "there is no folder $settings->{folder} in it") if $none;
  chomp $tree;
  my $target = "trees/$commit-" . substr($tree, 0, 12);
  my $current = readlink("$base/current") // "";
  @$state{qw(fetched fetched_seconds)} = (now(), time());
  return settle($current) if $current eq $target;

  # What was reloaded and did not work is not tried every few minutes: it has an effect each time.
  my $refused = $state->{refused};
  refuse($commit, $refused->{why}, target => $target) if $refused && ($refused->{target} // "") eq $target;
  judge_origin($commit, applied_commit($current));
  extract($commit, $tree, $target);
  my @changed = changed_files(realpath("$base/current") // "", "$base/$target");
  my @parts = grep { my $part = $_; grep { is_below($_, $part->{path}) } @changed } @{ $settings->{parts} };
  judge($commit, $_, "$base/$target") for @parts;
  apply($target, $current, map { { unit => $_->{unit}, verb => $_->{verb} } } map { @{ $_->{units} } } @parts);
  settle($target);
  print STDERR "applied $commit: ", scalar(@changed), " files changed\n";
}

# What is current is what is said, and nothing else is kept but what it came after.
sub settle {
  my ($current) = @_;
  my $commit = applied_commit($current) or return;
  git_says("update-ref", $applied_ref, $commit);
  my $known = $state->{applied};
  $state->{applied} = { commit => $commit, since => now() } unless $known && $known->{commit} eq $commit;
  my $before = $state->{before} // "";
  for my $tree (glob("$base/trees/* $base/trees/.new*")) {
    remove_tree($tree) if $tree ne "$base/$current" && $tree ne "$base/$before";
  }
}

sub applied_commit { return $_[0] =~ m{^trees/([0-9a-f]{40,64})-} ? $1 : undef }

# --- git: no hooks, helpers, filters, prompts, submodules; nothing of the machine's or of a person's settings ---

sub git {
  my @options = (
    "core.hooksPath=/dev/null", "core.fsmonitor=false", "core.askPass=", "credential.helper=", "safe.directory=$repository",
    "protocol.allow=never", "protocol.$settings->{transport}.allow=always", "submodule.recurse=false",
    "fetch.recurseSubmodules=false", "fetch.fsckObjects=true", "transfer.fsckObjects=true", "fetch.unpackLimit=1",
    "maintenance.autoDetach=false", "gc.autoDetach=false", "http.followRedirects=false", "http.lowSpeedLimit=100",
    "http.lowSpeedTime=30", "gpg.minTrustLevel=fully", "gpg.program=/bin/false", "gpg.x509.program=/bin/false",
    "gpg.ssh.program=/usr/bin/ssh-keygen", "core.fsync=all",
  );
  push @options, "http.sslCAInfo=$settings->{certificateAuthority}" if $settings->{certificateAuthority};
  push @options, "gpg.ssh.allowedSignersFile=$settings->{allowedSigners}" if $settings->{allowedSigners};
  return ("/usr/bin/prlimit", "--fsize=$settings->{mostBytes}", "/usr/bin/timeout", "--kill-after=5", "$settings->{longest}",
    "/usr/bin/git", (map { ("-c", $_) } @options), "--git-dir=$repository", @_);
}

sub git_environment {
  my %clean = (
    (map { $_ => $ENV{$_} } qw(PATH LC_ALL)), HOME => $base, GIT_CONFIG_NOSYSTEM => 1, GIT_CONFIG_GLOBAL => "/dev/null",
    GIT_TERMINAL_PROMPT => 0, GIT_ASKPASS => $settings->{askpass}, GIT_ALLOW_PROTOCOL => $settings->{transport},
    GIT_NO_REPLACE_OBJECTS => 1, MESO_GIT_USER => $settings->{user}, MESO_GIT_TOKEN => $settings->{token} // "",
    CREDENTIALS_DIRECTORY => $ENV{CREDENTIALS_DIRECTORY} // "",
  );
  $clean{GIT_SSH_COMMAND} = join " ", "/usr/bin/ssh -F none -a -x -T", map { "-o $_" } "BatchMode=yes", "IdentitiesOnly=yes",
    "IdentityFile=$clean{CREDENTIALS_DIRECTORY}/$settings->{sshKey}", "UserKnownHostsFile=$settings->{knownHosts}",
    "GlobalKnownHostsFile=/dev/null", "StrictHostKeyChecking=yes", "ConnectTimeout=20", "ServerAliveInterval=10"
    if $settings->{sshKey};
  return %clean;
}

# Both streams, and how it ended.
sub git_says { local %ENV = git_environment(); return said(git(@_)) }

sub line_of {
  my ($text, $status) = git_says(@_);
  die "git $_[0]: $text" if $status;
  return $text =~ s/\n.*//sr;
}

sub fetch {
  # Only this program is here, so that a lock is what a killed one left.
  find({ no_chdir => 1, wanted => sub { unlink if /\.lock\z|\/tmp_[^\/]*\z/ } }, $repository) if -d $repository;
  if (!is_whole()) {
    remove_tree($repository, "$repository.new");
    my ($text, $status) = do { local %ENV = git_environment(); said("/usr/bin/git", "init", "--quiet", "--bare", "--template=", "$repository.new") };
    die "git init: $text" if $status;
    rename("$repository.new", $repository) or die "$repository: $!\n";
  }
  my ($text, $status) = git_says("fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head",
    "--refmap=", "--", $settings->{repository}, "+refs/heads/$branch:$candidate_ref");
  return if $status == 0;
  $text = "it took longer than $settings->{longest} seconds" if $status == 124 || $status == 137;
  die "cannot fetch $branch of $settings->{repository}: " . one_line($text) . "\n";
}

# Whether all that its refs lead to is there; a power failure may have taken some of it.
sub is_whole {
  return 0 unless -d $repository;
  my ($bare, $no_repository) = git_says("rev-parse", "--is-bare-repository");
  return 0 if $no_repository || $bare !~ /^true$/m;
  my (undef, $broken) = git_says("rev-list", "--objects", "--quiet", "--all");
  return $broken == 0;
}

sub judge_origin {
  my ($commit, $applied) = @_;
  if ($settings->{allowedSigners}) {
    my ($text, $status) = git_says("verify-commit", "--", $commit);
    refuse($commit, "it is not signed by anybody who may: " . one_line($text || "no signature")) if $status;
  }
  return if !$applied || !$is_same_source || $settings->{allowRewrites};
  my (undef, $status) = git_says("merge-base", "--is-ancestor", $applied, $commit);
  refuse($commit, "the branch was rewritten: it does not come after $applied, which is applied") if $status;
}

# --- the tree ---

sub extract {
  my ($commit, $tree, $target) = @_;
  return if -d "$base/$target";
  my $aside = "$base/trees/.new";
  remove_tree($aside);
  make_path($aside);
  my ($listing, $status) = output_of(git("ls-tree", "-r", "-l", "-z", "--full-tree", $tree));
  die "git ls-tree of $commit failed\n" if $status;
  my @entries = split /\0/, $listing;
  refuse($commit, "it has " . @entries . " files, and $settings->{mostFiles} may be") if @entries > $settings->{mostFiles};
  my ($total, @links) = (0);
  local %ENV = git_environment();
  my $reader = open2(my $from, my $to, git("cat-file", "--batch"));
  for my $entry (@entries) {
    my ($mode, $type, $object, $size, $path) = $entry =~ /^(\d+) (\w+) ([0-9a-f]+) +(\d+|-)\t(.+)\z/s or die "git ls-tree: $entry\n";
    (my $shown = $path) =~ s/[^ -~]/?/g;
    refuse($commit, "it has a submodule at $shown") if $type ne "blob";
    refuse($commit, "it has the path $shown") if $path =~ /[\x00-\x1f\x7f]/ || grep { /^(|\.|\.\.|\.git)\z/i } split m{/}, $path, -1;
    refuse($commit, "it has more than $settings->{mostBytes} bytes") if ($total += $size) > $settings->{mostBytes};
    print $to "$object\n";
    $to->flush;
    my $header = <$from> // "";
    die "git cat-file: $header" unless $header eq "$object blob $size\n";
    die "git cat-file ended early\n" unless read($from, my $data, $size + 1) == $size + 1;
    chop $data;
    if ($mode eq "120000") { push @links, [$path, $data]; next }
    make_path("$aside/$1") if $path =~ m{^(.*)/};
    sysopen(my $file, "$aside/$path", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, $mode eq "100755" ? 0755 : 0644) or die "$path: $!\n";
    print $file $data or die "$path: $!\n";
    close($file) or die "$path: $!\n";
  }
  close($to);
  waitpid($reader, 0);
  for (@links) {
    my ($path, $to_path) = @$_;
    make_path("$aside/$1") if $path =~ m{^(.*)/};
    refuse($commit, "its link $path leads out of it") if $to_path =~ m{^/|\0} || !symlink($to_path, "$aside/$path");
  }
  my $top = realpath($aside);
  for (map { $$_[0] } @links) {
    my $end = realpath("$aside/$_");
    refuse($commit, "its link $_ leads out of it, or nowhere") if !defined $end || !-e $end || index("$end/", "$top/") != 0;
  }
  said("/usr/bin/sync", "-f", $aside);
  rename($aside, "$base/$target") or die "$base/$target: $!\n";
}

sub changed_files {
  my ($before, $after) = map { facts_of($_) } @_;
  my %all = (%$before, %$after);
  return grep { ($before->{$_} // "") ne ($after->{$_} // "") } sort keys %all;
}

sub facts_of {
  my ($top) = @_;
  my %facts;
  find({ no_chdir => 1, wanted => sub {
    my @about = lstat($_) or die "$_: $!\n";
    return if S_ISDIR($about[2]);
    my $fact = S_ISLNK($about[2]) ? "link " . readlink($_) : ($about[2] & 0100) . " " . Digest::SHA->new(256)->addfile($_, "b")->hexdigest;
    $facts{ substr($_, length($top) + 1) } = $fact;
  } }, $top) if -d $top;
  return \%facts;
}

sub is_below { return $_[1] eq "" || $_[0] eq $_[1] || index($_[0], "$_[1]/") == 0 }

# The checker sees the candidate where the service will see it, in a mount namespace of its own, and no secrets.
sub judge {
  my ($commit, $part, $candidate) = @_;
  return unless $part->{check};
  my $place = realpath("$base/current");
  my $secrets = delete local $ENV{CREDENTIALS_DIRECTORY};
  local $ENV{CANDIDATE} = $candidate;
  my $script = 'mount --bind "$1" "$2"; [ -z "$3" ] || mount -t tmpfs none "$3"; shift 3; exec "$@"';
  my ($text, $status) = said("/usr/bin/timeout", "--kill-after=5", $settings->{longest}, "/usr/bin/unshare", "--mount",
    "--propagation", "private", "/bin/sh", "-euc", $script, "sh", $candidate, $place, $secrets // "", $part->{check});
  refuse($commit, ($part->{path} eq "" ? "it" : $part->{path}) . " is refused: " . one_line($text || "status $status")) if $status;
}

# --- applying ---

sub apply {
  my ($target, $current, @reloads) = @_;
  my %verbs;
  for (@reloads) { $verbs{ $_->{unit} } = $_->{verb} unless ($verbs{ $_->{unit} } // "") eq "restart" }
  my %states = map { $_ => said_line("/usr/bin/systemctl", "is-active", $_) } keys %verbs;
  # One that is not there, or was stopped, reads what is current when it starts.
  my @units = map { { unit => $_, verb => $verbs{$_}, works => $states{$_} eq "failed" ? 0 : 1 } }
    grep { $states{$_} =~ /^(active|activating|reloading|refreshing|failed)$/ } sort keys %verbs;
  my $pending = { target => $target, before => $current, units => \@units };
  write_file("$base/pending", $json->encode($pending));
  point_to($target);
  finish_pending();
}

# Reloads what a swap left to do; what does not come back with the new files gets the old ones again.
sub finish_pending {
  my $pending = eval { $json->decode(contents("$base/pending")) };
  if ($pending && (readlink("$base/current") // "") eq $pending->{target}) {
    my @failed;
    for (@{ $pending->{units} }) {
      my ($text, $status) = reload($_);
      push @failed, "$_->{unit}: " . one_line($text || "it did not stay active") if $_->{works} && $status;
    }
    if (@failed) {
      point_to($pending->{before});
      reload($_) for grep { $_->{works} } @{ $pending->{units} };
      unlink("$base/pending");
      refuse(applied_commit($pending->{target}), "what reads it did not take it: " . join("; ", @failed), target => $pending->{target});
    }
    $state->{before} = $pending->{before};
  }
  unlink("$base/pending");
}

sub reload {
  my ($wish) = @_;
  my ($text, $status) = said("/usr/bin/timeout", "90", "/usr/bin/systemctl", $wish->{verb}, $wish->{unit});
  return ($text, $status || (said("/usr/bin/systemctl", "is-active", "--quiet", $wish->{unit}))[1]);
}

sub point_to {
  my ($target) = @_;
  unlink("$base/current.new");
  symlink($target, "$base/current.new") or die "$base/current.new: $!\n";
  rename("$base/current.new", "$base/current") or die "$base/current: $!\n";
  said("/usr/bin/sync", $base);
}

# --- what is told ---

sub expose {
  my ($applied, $refused, $failed) = @$state{qw(applied refused failed)};
  my $line = $applied ? "applied " . substr($applied->{commit}, 0, 12) . " since $applied->{since}" : "nothing applied yet";
  $line .= "; refused " . substr($refused->{commit}, 0, 12) . ": $refused->{why}" if $refused;
  $line .= "; $failed->{why} (since $failed->{since})" if $failed;
  @$state{qw(line attempted)} = ($line, now());
  print STDERR "$line\n" if $json->encode([@$state{qw(applied refused failed)}]) ne $began_with && ($refused || $failed);
  write_file("$base/state.json", $json->encode($state));
  if ($ENV{NOTIFY_SOCKET}) {
    my $address = $ENV{NOTIFY_SOCKET} =~ s/^@/\0/r;
    my $socket = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => $address);
    $socket->send("STATUS=$line") if $socket;
  }
  my $folder = $settings->{metricsFolder};
  return if $folder eq "" || !-d $folder;
  my ($label, $commit) = ("{name=\"$name\"}", $applied ? $applied->{commit} : "");
  write_file("$folder/git-config-$name.prom", join "", map { "$_\n" }
    "git_config_info{name=\"$name\",commit=\"$commit\"} 1", "git_config_refused$label " . ($refused ? 1 : 0),
    "git_config_failed$label " . ($failed ? 1 : 0), "git_config_attempted_seconds$label " . time(),
    "git_config_fetched_seconds$label " . ($state->{fetched_seconds} // 0));
}

sub told {
  my ($earlier, %now) = @_;
  my $is_known = $earlier && $earlier->{why} eq $now{why} && ($earlier->{commit} // "") eq ($now{commit} // "");
  return { %now, since => $is_known ? $earlier->{since} : now() };
}

sub refuse { my ($commit, $why, %more) = @_; die { commit => $commit, why => $why, %more } }

sub now { return strftime("%Y-%m-%dT%H:%M:%SZ", gmtime) }

sub one_line {
  my ($text) = @_;
  my @lines = grep { /\S/ } split /\n/, $text;
  s/[^ -~]/?/g, s/^\s+|\s+$//g for @lines;
  return substr(join(" | ", @lines > 4 ? (@lines[0 .. 1], "...", @lines[-2, -1]) : @lines), 0, 600);
}

# --- processes and files ---

# What a command says on both streams, 64 KiB at most, and how it ended.
sub said {
  my @command = @_;
  my $child = open(my $pipe, "-|") // die "fork: $!\n";
  if (!$child) {
    open(STDERR, ">&", \*STDOUT);
    open(STDIN, "<", "/dev/null");
    exec { $command[0] } @command or POSIX::_exit(127);
  }
  my $text = "";
  while (read($pipe, my $piece, 4096)) { $text .= $piece if length($text) < 65536 }
  close($pipe);
  return ($text, $? & 127 ? 128 + ($? & 127) : $? >> 8);
}

sub said_line { my ($text) = said(@_); return $text =~ s/\n.*//sr }

sub output_of {
  local %ENV = git_environment();
  open(my $pipe, "-|", @_) or die "$_[0]: $!\n";
  local $/;
  my $text = <$pipe> // "";
  close($pipe);
  return ($text, $?);
}

sub contents {
  open(my $file, "<", $_[0]) or die "$_[0]: $!\n";
  local $/;
  return <$file> // "";
}

sub write_file {
  my ($path, $text) = @_;
  open(my $file, ">", "$path.new") or die "$path.new: $!\n";
  print $file $text or die "$path.new: $!\n";
  close($file) or die "$path.new: $!\n";
  said("/usr/bin/sync", "$path.new");
  rename("$path.new", $path) or die "$path: $!\n";
}
`}`,
);
