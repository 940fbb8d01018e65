# mice's pool() on sets that walkrisk imputed (imputation_sets.csv.gz, written by test_imputation_reference.py --write).
# A logistic model pooled by mice as it is; modified Poisson with sandwich's HC0 pooled by mice's pool.scalar.
suppressPackageStartupMessages({library(mice); library(sandwich)})
d <- read.csv(gzfile("imputation_sets.csv.gz"))
sets <- split(d, d$set)
logit <- lapply(sets, function(s) glm(yes ~ x1 + x2 + amount + factor(kind), binomial, s, control = list(epsilon = 1e-14, maxit = 100)))
a <- summary(pool(as.mira(logit)), type = "all", conf.int = TRUE)
one <- data.frame(model = "logistic", term = as.character(a$term), estimate = a$estimate, std_error = a$std.error, df = a$df,
                  p = a$p.value, low = a[["2.5 %"]], high = a[["97.5 %"]], fmi = a$fmi, riv = a$riv, lambda = a$lambda,
                  ubar = a$ubar, b = a$b, t = a$t)
poisson_fits <- lapply(sets, function(s) glm(yes ~ x1 + x2 + amount + factor(kind), poisson, s, control = list(epsilon = 1e-14, maxit = 100)))
q <- t(sapply(poisson_fits, coef)); u <- t(sapply(poisson_fits, function(f) diag(vcovHC(f, type = "HC0"))))
two <- do.call(rbind, lapply(seq_len(ncol(q)), function(j) {
  p <- pool.scalar(q[, j], u[, j], n = 300, k = ncol(q)); se <- sqrt(p$t); half <- qt(0.975, p$df) * se
  data.frame(model = "modified_poisson", term = colnames(q)[j], estimate = p$qbar, std_error = se, df = p$df,
             p = 2 * pt(-abs(p$qbar / se), p$df), low = p$qbar - half, high = p$qbar + half, fmi = p$fmi, riv = p$r,
             lambda = (1 + 1 / p$m) * p$b / p$t, ubar = p$ubar, b = p$b, t = p$t)
}))
out <- rbind(one, two)
each <- do.call(rbind, lapply(seq_len(nrow(q)), function(i) data.frame(model = "each set", term = paste(colnames(q), i), estimate = q[i, ], std_error = sqrt(u[i, ]), df = NA, p = NA, low = NA, high = NA, fmi = NA, riv = NA, lambda = NA, ubar = NA, b = NA, t = NA)))
out <- rbind(out, each)
numbers <- sapply(out, is.numeric); out[numbers] <- lapply(out[numbers], function(v) sprintf("%.15g", v))
write.csv(out, "imputation_pooled.csv", row.names = FALSE, quote = FALSE, na = "")
