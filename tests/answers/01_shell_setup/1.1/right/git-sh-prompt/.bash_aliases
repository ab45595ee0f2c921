rm() {
    command rm --interactive=once "$@"
}
