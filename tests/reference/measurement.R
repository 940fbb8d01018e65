#!/usr/bin/env Rscript
# Measurement error as R computes it: variance components, regression calibration with a stacked sandwich, SIMEX on
# given noise, models of a misclassified outcome.
#   Rscript measurement.R     writes measurement_data.csv, measurement_noise.csv and measurement.csv beside itself
# R 4.2 with nlme and sandwich. One row of measurement.csv is one number: what, term, value.
suppressPackageStartupMessages({
  library(nlme)
  library(sandwich)
})
options(digits = 15)
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE)[1]))
rows <- list()
put <- function(what, term, value) rows[[length(rows) + 1L]] <<- data.frame(what = what, term = term, value = as.numeric(value))

# ---- data: 240 persons with 1 to 7 days of two exposures, a covariate, an outcome -------------------------------
set.seed(20250704)
n <- 240
D <- 7
z <- round(rnorm(n), 3)
k <- sample(1:7, n, TRUE, c(.05, .05, .1, .2, .2, .2, .2))
u1 <- 100 + 8 * z + rnorm(n, 0, 20)
u2 <- 3 + 0.004 * (u1 - 100) + rnorm(n, 0, 0.15)
first <- sample(0:6, n, TRUE)
w1 <- w2 <- wd <- matrix(NA, n, D)
for (i in 1:n) for (j in seq_len(k[i])) {
  wd[i, j] <- (first[i] + j - 1) %% 7
  w1[i, j] <- round(u1[i] + c(4, 3, 2, 1, 0, -6, -9)[wd[i, j] + 1] + rnorm(1, 0, 28), 2)
  w2[i, j] <- round(u2[i] + 0.002 * (w1[i, j] - u1[i]) + rnorm(1, 0, 0.2), 4)
}
y <- rbinom(n, 1, pmin(exp(-1.2 - 0.015 * (u1 - 100) - 0.5 * (u2 - 3) + 0.2 * z), 0.98))
wide <- data.frame(z = z, y = y, w1, w2, wd)
names(wide) <- c("z", "y", paste0("a", 1:D), paste0("b", 1:D), paste0("day", 1:D))
write.csv(wide, file.path(here, "measurement_data.csv"), row.names = FALSE, quote = FALSE)

# ---- variance components ------------------------------------------------------------------------------------------
long <- data.frame(id = factor(rep(1:n, D)), x = c(w1), wd = factor(c(wd)))
long <- long[!is.na(long$x), ]
components <- function(what, d) {
  tab <- summary(aov(x ~ id, d))[[1]]
  a <- nlevels(droplevels(d$id))
  N <- nrow(d)
  ki <- as.vector(table(droplevels(d$id)))
  n0 <- (N - sum(ki^2) / N) / (a - 1)
  between <- (tab[1, 3] - tab[2, 3]) / n0
  within <- tab[2, 3]
  put(what, "anova_between", between)
  put(what, "anova_within", within)
  put(what, "study", between / (between + within * mean(1 / ki)))
  m <- lme(x ~ 1, random = ~ 1 | id, data = d, method = "REML", control = lmeControl(msTol = 1e-12, tolerance = 1e-12))
  v <- as.numeric(VarCorr(m)[, "Variance"])
  put(what, "reml_between", v[1])
  put(what, "reml_within", v[2])
  h <- a / sum(1 / ki)
  means <- tapply(d$x, droplevels(d$id), mean)
  f <- h * var(means) / within
  t <- (f / qf(c(0.975, 0.025), a - 1, N - a) - 1) / h
  put(what, "icc_low", t[1] / (1 + t[1]))
  put(what, "icc_high", t[2] / (1 + t[2]))
}
components("unbalanced", long)
seven <- long[long$id %in% which(k == 7), ]
seven$id <- droplevels(seven$id)
components("balanced", seven)
m <- lm(x ~ id + wd, long)
put("weekday", "within", summary(m)$sigma^2)
effects <- c(0, coef(m)[grep("^wd", names(coef(m)))])
put("weekday", paste0("effect", 0:6), effects - mean(effects))

# ---- regression calibration: stacked estimating equations, derivatives by differences -------------------------------
W <- cbind(rowMeans(w1, na.rm = TRUE), rowMeans(w2, na.rm = TRUE))
Z <- cbind(1, z)
products <- function(a, b) sapply(1:n, function(i) {
  at <- seq_len(k[i])
  sum((a[i, at] - mean(a[i, at])) * (b[i, at] - mean(b[i, at])))
})
S <- cbind(products(w1, w1), products(w1, w2), products(w2, w2)) # 11, 12, 22
sym <- function(v, q) if (q == 1) matrix(v) else matrix(c(v[1], v[2], v[2], v[3]), 2)
expected <- function(th, q) { # th: within, slopes (by row of G), between
  t <- q * (q + 1) / 2
  Su <- sym(th[1:t], q)
  G <- matrix(th[t + 1:(2 * q)], 2, q, byrow = TRUE)
  Sx <- sym(th[t + 2 * q + 1:t], q)
  mu <- Z %*% G
  out <- t(sapply(1:n, function(i) mu[i, ] + Sx %*% solve(Sx + Su / k[i]) %*% (W[i, 1:q] - mu[i, ])))
  if (q == 1) t(out) else out
}
stacked <- function(all, q, link) {
  t <- q * (q + 1) / 2
  th <- all[1:(2 * t + 2 * q)]
  b <- all[-(1:(2 * t + 2 * q))]
  Su <- th[1:t]
  G <- matrix(th[t + 1:(2 * q)], 2, q, byrow = TRUE)
  Sx <- th[t + 2 * q + 1:t]
  r <- W[, 1:q, drop = FALSE] - Z %*% G
  pairs <- if (q == 1) cbind(1, 1) else rbind(c(1, 1), c(1, 2), c(2, 2))
  Sq <- if (q == 1) S[, 1, drop = FALSE] else S
  psi1 <- sapply(1:t, function(m) Sq[, m] - (k - 1) * Su[m])
  psi2 <- do.call(cbind, lapply(1:2, function(p) Z[, p] * r))
  psi3 <- sapply(1:t, function(m) n / (n - 2) * r[, pairs[m, 1]] * r[, pairs[m, 2]] - Su[m] / k - Sx[m])
  X <- cbind(1, expected(th, q), z)
  mu <- if (link == "log") exp(X %*% b) else plogis(X %*% b)
  cbind(psi1, psi2, psi3, X * as.vector(y - mu))
}
calibrated <- function(what, q, link) {
  t <- q * (q + 1) / 2
  Sq <- if (q == 1) S[, 1, drop = FALSE] else S
  Su <- colSums(Sq) / sum(k - 1)
  fit <- lm(W[, 1:q] ~ z)
  G <- matrix(coef(fit), 2, q)
  r <- matrix(residuals(fit), n, q)
  V <- n / (n - 2) * crossprod(r) / n - sym(Su, q) * mean(1 / k)
  Sx <- if (q == 1) V[1] else V[c(1, 3, 4)]
  th <- c(Su, as.vector(t(G)), Sx)
  X <- expected(th, q)
  family <- if (link == "log") poisson() else binomial()
  g <- glm(y ~ X + z, family = family, control = glm.control(epsilon = 1e-15, maxit = 100))
  all <- c(th, coef(g))
  scale <- pmax(abs(all), 0.01)
  A <- sapply(seq_along(all), function(m) {
    e <- replace(numeric(length(all)), m, 1e-4 * scale[m])
    colMeans(stacked(all + e, q, link) - stacked(all - e, q, link)) / (2e-4 * scale[m])
  })
  B <- crossprod(stacked(all, q, link)) / n
  inv <- solve(A)
  V <- inv %*% B %*% t(inv) / n
  at <- length(th) + 1 + 1:q
  put(what, paste0("coef", 1:q), all[at])
  put(what, paste0("se", 1:q), sqrt(diag(V))[at])
  if (q == 2) put(what, "cov12", V[at[1], at[2]])
  put(what, paste0("fixed_se", 1:q), sqrt(diag(sandwich(g)))[1 + 1:q])
}
calibrated("calibrated_log", 1, "log")
calibrated("calibrated_logit", 1, "logit")
calibrated("calibrated_two", 2, "log")

knots <- c(70, 100, 130)
curved <- function(x) (pmax(x - 70, 0)^3 - pmax(x - 100, 0)^3 * 60 / 30 + pmax(x - 130, 0)^3 * 30 / 30) / 60^2
for (m in c(60, 95, 100, 140)) for (s in c(5, 18)) {
  v <- integrate(function(x) curved(x) * dnorm(x, m, s), m - 9 * s, m + 9 * s, rel.tol = 1e-12, subdivisions = 2000)$value
  put("spline", paste0(m, "_", s), v)
}

# ---- SIMEX on given noise -------------------------------------------------------------------------------------------
B <- 6
sizes <- c(0.5, 1, 1.5, 2)
noise <- round(matrix(rnorm(n * B * 4), n), 5) # columns: 6 of the first size, then 6 of the second ...
write.table(noise, file.path(here, "measurement_noise.csv"), sep = ",", row.names = FALSE, col.names = FALSE)
sw <- sum(S[, 1]) / sum(k - 1)
quartile <- function(v) cut(v, c(-Inf, quantile(v, c(.25, .5, .75), type = 2), Inf), labels = FALSE)
one <- function(v, kind) {
  f <- if (kind == "unit") y ~ I(v / 10) + z else y ~ factor(quartile(v)) + z
  g <- glm(f, family = poisson(), control = glm.control(epsilon = 1e-15, maxit = 100))
  at <- if (kind == "unit") 2 else 2:4
  list(b = coef(g)[at], v = diag(sandwich(g))[at])
}
for (kind in c("unit", "quartiles")) {
  naive <- one(W[, 1], kind)
  est <- list(naive$b)
  var <- list(naive$v)
  for (s in seq_along(sizes)) {
    made <- lapply(1:B, function(b) one(W[, 1] + sqrt(sizes[s] * sw / k) * noise[, (s - 1) * B + b], kind))
    bs <- do.call(rbind, lapply(made, `[[`, "b"))
    vs <- do.call(rbind, lapply(made, `[[`, "v"))
    est[[s + 1]] <- colMeans(bs)
    var[[s + 1]] <- colMeans(vs) - apply(bs, 2, stats::var)
  }
  est <- do.call(rbind, est)
  var <- do.call(rbind, var)
  l <- c(0, sizes)
  for (c in seq_len(ncol(est))) {
    read <- function(f, v) unname(predict(lm(f, data.frame(l = l, v = v)), data.frame(l = -1)))
    put(paste0("simex_", kind), paste0("linear", c), read(v ~ l, est[, c]))
    put(paste0("simex_", kind), paste0("quadratic", c), read(v ~ l + I(l^2), est[, c]))
    put(paste0("simex_", kind), paste0("linear_var", c), read(v ~ l, var[, c]))
    put(paste0("simex_", kind), paste0("quadratic_var", c), read(v ~ l + I(l^2), var[, c]))
  }
}
smooth <- c(-0.1957, -0.1440, -0.1100, -0.0935, -0.0770) # nearly rational in lambda
rss <- function(g) sum((smooth - g[1] - g[2] / (g[3] + l))^2)
fit <- optim(c(0, -0.3, 1.5), rss, method = "BFGS", control = list(reltol = 1e-16, maxit = 5000))
fit <- optim(fit$par, rss, method = "Nelder-Mead", control = list(reltol = 1e-16, maxit = 20000))
put("rational", c("a", "b", "c"), fit$par)
put("rational", "at", fit$par[1] + fit$par[2] / (fit$par[3] - 1))

# ---- misclassified outcome --------------------------------------------------------------------------------------------
N <- 900
set.seed(7)
g <- sample(0:2, N, TRUE)
v <- round(rnorm(N), 3)
p <- exp(-1.3 - 0.3 * (g == 1) - 0.6 * (g == 2) + 0.15 * v)
truth <- rbinom(N, 1, p)
star <- ifelse(truth == 1, rbinom(N, 1, 0.75), rbinom(N, 1, 0.05))
write.csv(data.frame(g, v, star), file.path(here, "measurement_outcome.csv"), row.names = FALSE, quote = FALSE)
X <- cbind(1, g == 1, g == 2, v)
by_score <- function(what, se, sp) {
  a <- 1 - sp
  d <- se + sp - 1
  worth <- (star - a) / d
  b <- c(-1.3, 0, 0, 0)
  for (i in 1:60) {
    mu <- as.vector(exp(X %*% b))
    b <- b + solve(crossprod(X, X * mu), crossprod(X, worth - mu))
  }
  mu <- as.vector(exp(X %*% b))
  bread <- solve(crossprod(X, X * mu))
  V <- bread %*% crossprod(X * (worth - mu)) %*% bread
  put(what, paste0("coef", 0:3), b)
  put(what, paste0("se", 0:3), sqrt(diag(V)))
}
by_score("score", rep(0.75, N), rep(0.95, N))
by_score("score_differential", ifelse(g == 0, 0.75, 0.85), ifelse(g == 0, 0.95, 0.97))
pi_of <- function(b) 0.05 + 0.7 * exp(as.vector(X %*% b))
nll <- function(b) { q <- pi_of(b); if (any(q >= 1)) 1e10 else -sum(star * log(q) + (1 - star) * log(1 - q)) }
slope <- function(b) { q <- pi_of(b); -as.vector(crossprod(X, (star - q) / (q * (1 - q)) * 0.7 * exp(as.vector(X %*% b)))) }
o <- optim(c(-1.3, -0.3, -0.6, 0.1), nll, slope, method = "BFGS", control = list(reltol = 1e-16, maxit = 1000))
q <- pi_of(o$par)
e <- 0.7 * exp(as.vector(X %*% o$par))
bread <- solve(crossprod(X, X * e^2 / (q * (1 - q))))
put("likelihood", paste0("coef", 0:3), o$par)
put("likelihood", paste0("model_se", 0:3), sqrt(diag(bread)))
put("likelihood", paste0("se", 0:3), sqrt(diag(bread %*% crossprod(X * (star - q) / (q * (1 - q)) * e) %*% bread)))

out <- do.call(rbind, rows)
out$value <- format(out$value, digits = 15)
write.csv(out, file.path(here, "measurement.csv"), row.names = FALSE, quote = FALSE)
