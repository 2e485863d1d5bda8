//! The words of the help: what a newcomer reads first.

/// After the list of commands.
pub const EXAMPLES: &str = "\
Start here:
  stack up              make everything that stack.yaml says, and follow its logs (Ctrl+C stops it)
  stack up -d           the same in the background
  stack ps              what runs
  stack logs -f web     what the service `web` says
  stack exec web sh     a shell in it
  stack down            take everything away again

Before and after:
  stack plan            every step that `up` would take, and why; nothing is changed
  stack config          the file as it is understood, all defaults filled in
  stack graph           who is on which network, with addresses
  stack engine start x  an engine of its own to try things on

Files: stack.yaml, stack.yml, compose.yaml, compose.yml, docker-compose.yml; `-f` names others.
Variables: those of Compose (COMPOSE_FILE, COMPOSE_PROJECT_NAME, COMPOSE_PROFILES, …), or the same
with STACK_, which goes first; DOCKER_HOST, DOCKER_CONTEXT, NO_COLOR.
Exit codes: 0 done; 1 refused; 2 `plan` found changes; 3 failed and something is left;
130 interrupted; `run`, `exec`, `wait` and `up --exit-code-from` pass on the container's own.";

/// The template of the main help: commands in groups.
pub const TEMPLATE: &str = "\
{about}

{usage-heading} {usage}

Every day:
  up         Create and start everything
  down       Stop and remove everything
  plan       Show what `up` would do, and why
  ps         List containers
  logs       Show what containers say
  exec       Run a command in a running container
  run        Run a command in a container of its own
  graph      Draw networks, bridges, parents, shims and addresses
  config     Show the file as it is understood

Parts of it:
  start, stop, restart, pause, unpause, kill, scale
  create     Create containers and do not start them
  rm         Remove stopped containers
  build      Build images
  pull       Pull images
  cp         Copy files into or out of a container
  wait       Wait until containers stop

Look around:
  ls         List projects
  doctor     Tell what on this machine will bite
  agent      Keep the host's side right through restarts and reboots
  shim       Show, check, repair and export the host's doors into networks
  orphans    Tell what killed runs and forgotten projects left
  journal    Show what is written down about unfinished runs
  images     List the images of the project
  port       Show where a port is published
  top        Show the processes in the containers
  events     Follow what happens
  version    Show versions

Tools:
  engine     Private engines for labs and tests
  completion Completion for bash, zsh or fish
  help       Help for a command

Options (before the command):
{options}{after-help}
";
