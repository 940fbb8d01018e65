# R's glm(binomial("log")) on the sets that log_binomial_hard.py wrote: Rscript log_binomial_hard.R folder number
args <- commandArgs(TRUE); folder <- args[1]; number <- as.integer(args[2])
control <- glm.control(epsilon = 1e-10, maxit = 200)
value <- function(y, mu) if (any(mu > 1 & y == 0)) NA else sum(ifelse(y == 1, log(pmin(mu, 1)), log1p(-mu)))
one <- function(x, y, start) {
  fit <- tryCatch(suppressWarnings(glm.fit(x, y, family = binomial("log"), start = start, control = control)),
                  error = function(e) NULL)
  if (is.null(fit)) return(c(NA, 0))
  mu <- fit$fitted.values
  c(if (max(mu) > 1 + 1e-8) NA else value(y, mu), as.numeric(fit$converged))
}
out <- matrix(NA_real_, number, 4)
began <- sum(proc.time()[1:2])
for (i in seq_len(number) - 1L) {
  size <- scan(file.path(folder, paste0(i, ".dim")), quiet = TRUE)
  d <- matrix(readBin(file.path(folder, paste0(i, ".bin")), "double", prod(size)), size[1], size[2], byrow = TRUE)
  y <- d[, 1]; x <- cbind(1, d[, -1, drop = FALSE])
  out[i + 1, 1:2] <- one(x, y, NULL)
  out[i + 1, 3:4] <- one(x, y, c(log(mean(y)), rep(0, ncol(x) - 1)))
}
seconds <- sum(proc.time()[1:2]) - began
text <- function(v) paste0("[", paste(ifelse(is.finite(v), formatC(v, digits = 16, format = "g"), "null"), collapse = ","), "]")
writeLines(paste0('{"default":', text(out[, 1]), ',"default_converged":', text(out[, 2]), ',"start":', text(out[, 3]),
                  ',"start_converged":', text(out[, 4]), ',"seconds":', text(seconds), "}"), file.path(folder, "r.json"))
