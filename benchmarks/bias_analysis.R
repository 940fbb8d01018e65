# Probabilistic bias analyses of one 2x2 table by episensr, for sensitivity_suite.py.
#   Rscript bias_analysis.R DRAWS [folder with the package's R files, where it is not installed]
arguments <- commandArgs(TRUE)
draws <- as.integer(arguments[1])
if (length(arguments) > 1) {
  suppressPackageStartupMessages({library(trapezoid); library(triangle); library(actuar); library(ggplot2); library(magrittr)})
  for (file in list.files(arguments[2], full.names = TRUE)) if (!grepl("mbias|zzz", file)) source(file)
} else suppressPackageStartupMessages(library(episensr))
table <- matrix(c(350, 480, 2380, 2250), 2, byrow = TRUE, dimnames = list(c("D+", "D-"), c("E+", "E-")))
trap <- function(...) list("trapezoidal", c(...))
timed <- function(run) {
  start <- proc.time(); found <- suppressMessages(run()); seconds <- sum((proc.time() - start)[1:2])
  m <- found$adj.measures  # with random error: of the risk ratio, of the odds ratio where there is no other
  row <- grep(if (nrow(m) > 2) "(Relative Risk|RR).*systematic and random" else "systematic and random", rownames(m))[1]
  list(seconds, m[row, ])
}
set.seed(1)
found <- list(
  misclassification = timed(function() probsens(table, type = "outcome", reps = draws,
    seca.parms = trap(.7, .8, .9, .98), spca.parms = trap(.94, .96, .98, 1))),
  confounder = timed(function() probsens.conf(table, reps = draws, prev.exp = trap(.05, .15, .25, .35),
    prev.nexp = trap(.2, .3, .4, .5), risk = trap(1.1, 1.4, 1.6, 1.9))),
  selection = timed(function() probsens.sel(table, reps = draws, case.exp = trap(.3, .38, .4, .5),
    case.nexp = trap(.25, .3, .36, .4), ncase.exp = trap(.35, .38, .42, .5), ncase.nexp = trap(.35, .38, .42, .5))))
parts <- sapply(names(found), function(name) sprintf('"%s": {"seconds": %.3f, "numbers": [%s]}', name, found[[name]][[1]],
                                                     paste(sprintf("%.6f", found[[name]][[2]]), collapse = ", ")))
cat("{", paste(parts, collapse = ", "), "}\n", sep = "")
