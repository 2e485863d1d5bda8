//! `stack completion`: scripts for shells. Names of services are asked for while the user types, with
//! `stack config --services`.

use std::io::Write;

use clap::{Args, Command, ValueEnum};
use clap_complete::Shell;
use clap_complete::generate;

use crate::cli::exit::{Exit, Outcome};

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  source <(stack completion bash)
  stack completion zsh > ~/.zfunc/_stack
  stack completion fish > ~/.config/fish/completions/stack.fish")]
pub struct CompletionArgs {
    /// Shell
    #[arg(value_enum)]
    shell: Known,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Known {
    Bash,
    Zsh,
    Fish,
}

/// After bash's own candidates: where a command takes services, their names.
const BASH_SERVICES: &str = r#"
_stack_with_services() {
    _stack "$@"
    local current="${COMP_WORDS[COMP_CWORD]}" word takes=no
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $word in
            up|down|ps|logs|exec|run|start|stop|restart|build|pull|create|kill|rm|images|port|top|events|pause|unpause|wait|plan)
                takes=yes ;;
        esac
    done
    if [[ $takes = yes && $current != -* ]]; then
        COMPREPLY=( $(compgen -W "$(stack config --services 2>/dev/null)" -- "$current") )
    fi
}
complete -F _stack_with_services -o bashdefault -o default stack
"#;

/// The same for fish.
const FISH_SERVICES: &str = r#"
complete -c stack -n "__fish_seen_subcommand_from up down ps logs exec run start stop restart build pull create kill rm images port top events pause unpause wait plan" -f -a "(stack config --services 2>/dev/null)"
"#;

/// Prints the script.
pub fn run(arguments: &CompletionArgs, mut command: Command) -> Outcome {
    let mut script = Vec::new();
    let (shell, more) = match arguments.shell {
        Known::Bash => (Shell::Bash, BASH_SERVICES),
        Known::Zsh => (Shell::Zsh, ""),
        Known::Fish => (Shell::Fish, FISH_SERVICES),
    };
    generate(shell, &mut command, "stack", &mut script);
    script.extend_from_slice(more.as_bytes());
    std::io::stdout().write_all(&script)?;
    Ok(Exit::Done)
}
