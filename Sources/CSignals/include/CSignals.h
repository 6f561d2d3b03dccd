#ifndef CSIGNALS_H
#define CSIGNALS_H

/// Catches SIGHUP, SIGINT and SIGTERM from now on, and ignores SIGPIPE. Done at the first instruction of the program where
/// its first argument is a verb that runs a gateway; elsewhere signals keep their default. A second call does nothing.
/// Returns 0, or a negated errno where no pipe can be had.
int csignals_catch(void);
/// Waits for a signal that was caught and returns its number, in the order in which they came; a negated errno where none
/// will come. For one thread.
int csignals_next(void);

#endif
