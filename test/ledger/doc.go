// Command ledger keeps what jobs write down about themselves, so that the demo and the tests count
// runs rather than assume them: POST adds the body as one line, with the time in milliseconds in
// front; GET gives all lines in the order of their arrival. It keeps them in memory: it lives as
// long as one demo or one test.
//
// With words as arguments it is the client instead: it writes them as one line to the ledger at
// $LEDGER_URL. (The static busybox of the demo's image can't resolve names, so its wget won't do.)
package main
