"""`climahub completion`: prints the script by which a shell completes commands, options and file names."""

import click
from click.shell_completion import get_completion_class

from agent.cli.exit_codes import epilog


@click.command(
    epilog=epilog(
        "climahub completion bash > ~/.local/share/bash-completion/completions/climahub",
        'climahub completion zsh  > "${fpath[1]}/_climahub"',
        "climahub completion fish > ~/.config/fish/completions/climahub.fish",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell."""
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - click has these three
    root = context.find_root()
    click.echo(kind(root.command, {}, "climahub", "_CLIMAHUB_COMPLETE").source())
