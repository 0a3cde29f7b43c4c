// Command ledger stores what jobs record about themselves, so that the demo and the tests count
// runs rather than assume them. POST adds the body as one line, prefixed with the time in
// milliseconds; GET returns all lines in the order of their arrival. The lines are kept in memory,
// for the length of one demo or one test.
//
// With words as arguments the command is the client: it writes them as one line to the ledger at
// $LEDGER_URL. (The static busybox of the demo's image can't resolve names, so its wget doesn't
// work.)
package main
