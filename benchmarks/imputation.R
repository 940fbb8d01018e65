# Twenty imputed sets by R's mice, and the pooled modified Poisson ratio of x, for imputation.py.
#   Rscript imputation.R FOLDER SETS CYCLES
suppressPackageStartupMessages({library(mice); library(sandwich)})
arguments <- commandArgs(TRUE)
folder <- arguments[1]; m <- as.integer(arguments[2]); cycles <- as.integer(arguments[3])
d <- read.csv(file.path(folder, "data.csv"))
for (name in c("y", "sex", "work")) d[[name]] <- factor(d[[name]])
d$smoking <- factor(d$smoking)
d$education <- factor(d$education, ordered = TRUE); d$income <- factor(d$income, ordered = TRUE)
method <- c(y = "", walk = "", age = "", sex = "", education = "polr", income = "polr", score = "pmm", smoking = "polyreg",
            work = "logreg", bmi = "pmm")
start <- proc.time()
imp <- suppressWarnings(mice(d, m = m, maxit = cycles, method = method[names(d)], visitSequence = "monotone", seed = 1,
                             printFlag = FALSE))
seconds <- proc.time() - start
q <- u <- numeric(m)
for (i in seq_len(m)) {
  s <- complete(imp, i); s$y <- as.numeric(as.character(s$y))
  for (name in c("education", "income")) s[[name]] <- factor(s[[name]], ordered = FALSE)
  fit <- glm(y ~ walk + age + sex + education + income + score + smoking + work, poisson, s)
  q[i] <- coef(fit)["walk"]; u[i] <- vcovHC(fit, type = "HC0")["walk", "walk"]
}
p <- pool.scalar(q, u, n = nrow(d), k = length(coef(fit)))
shares <- sapply(c("education", "income", "smoking", "work"), function(name) {
  v <- unlist(lapply(seq_len(m), function(i) as.integer(complete(imp, i)[[name]][is.na(d[[name]])])))
  mean(v)
})
means <- sapply(c("score", "bmi"), function(name) mean(unlist(imp$imp[[name]])))
cat(sprintf('{"seconds": %.3f, "estimate": %.10g, "std_error": %.10g, "fmi": %.6g, "means": {%s}}\n',
            seconds[["user.self"]] + seconds[["sys.self"]], p$qbar, sqrt(p$t), p$fmi,
            paste(sprintf('"%s": %.6g', c(names(shares), names(means)), c(shares, means)), collapse = ", ")))
