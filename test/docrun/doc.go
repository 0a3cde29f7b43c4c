// Command docrun runs the commands of a Markdown page as a reader would: its fenced sh blocks, one
// after the other, in one shell that ends at the first error. A text block that follows an sh block
// has lines that its output must hold. So a page that CI runs can't be wrong.
//
// It owns no goroutine. The page is trusted: it is one of the project's own.
package main
