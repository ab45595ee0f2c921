source /usr/share/bash-completion/bash_completion
complete -C aws_completer aws
. ~/.bashrc
