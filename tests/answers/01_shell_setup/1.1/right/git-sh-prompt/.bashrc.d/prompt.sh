# git brings __git_ps1 along; on some systems it lies elsewhere.
for file in /usr/lib/git-core/git-sh-prompt /usr/share/git-core/contrib/completion/git-prompt.sh /etc/bash_completion.d/git-prompt; do
    if [ -r "$file" ]; then
        . "$file"
        break
    fi
done
GIT_PS1_SHOWDIRTYSTATE=1
GIT_PS1_SHOWCOLORHINTS=1
red=$(tput setaf 1)
plain=$(tput sgr0)

before_prompt() {
    local last=$?
    local profile=''
    case ${AWS_PROFILE-} in
        '') ;;
        production) profile="\[$red\]production\[$plain\] " ;;
        *) profile="$AWS_PROFILE " ;;
    esac
    local failed=''
    ((last == 0)) || failed="$last "
    __git_ps1 "$failed$profile\u@\h:\w" ' \$ '
}
PROMPT_COMMAND='before_prompt; history -a'
