. /usr/share/bash-completion/bash_completion
. ~/.bashrc.d/prompt.sh
. ~/.bashrc.d/history.sh
. ~/.bash_aliases
complete -C aws_completer aws
