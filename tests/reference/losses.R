#!/usr/bin/env Rscript
# Weights for loss to follow-up, the model under them by full M-estimation, and worst cases, as R computes them.
#   Rscript losses.R          writes losses_data.csv and losses.csv beside itself
# R 4.2 with sandwich. One row of losses.csv is one number: part, term, statistic, value. The variance with
# the weights estimated is that of all estimating equations stacked, their derivative taken numerically.
suppressPackageStartupMessages(library(sandwich))
options(digits = 15)
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE)[1]))

# ---- data: a three-level exposure, covariates, a predictor of both loss and outcome, a stratum -----------------------
set.seed(41)
n <- 900
d <- data.frame(x = round(rnorm(n, 50, 10), 1), z = rbinom(n, 1, 0.4), s = sample(1:2, n, TRUE, c(0.6, 0.4)))
d$a <- 1L + rbinom(n, 2, plogis(0.3 - 0.02 * (d$x - 50)))
d$v <- rbinom(n, 1, 0.3)
full <- rbinom(n, 1, pmin(exp(-1.5 - 0.25 * (d$a == 2) - 0.45 * (d$a == 3) + 0.012 * (d$x - 50) + 0.6 * d$v), 0.95))
d$r <- rbinom(n, 1, plogis(0.9 - 0.4 * (d$a == 3) - 0.9 * d$v + 0.8 * (d$a == 3) * d$v + 0.02 * (d$x - 50) - 0.3 * (d$s == 2)))
d$y <- ifelse(d$r == 1, full, NA)
d$cl <- sample(1:50, n, TRUE)
write.csv(d, file.path(here, "losses_data.csv"), row.names = FALSE, quote = FALSE)
A <- factor(d$a); R <- d$r; y0 <- ifelse(R == 1, d$y, 0)

rows <- list()
put <- function(part, term, statistic, value) {
  rows[[length(rows) + 1L]] <<- data.frame(part = part, term = term, statistic = statistic, value = as.numeric(value))
}
tight <- glm.control(epsilon = 1e-15, maxit = 100)
X <- model.matrix(~ A + x + z, d)          # the outcome model leaves v out
L <- model.matrix(~ A + x + z + v, d)      # the model of follow-up
names_x <- colnames(X)

jacobian <- function(f, at) {
  sapply(seq_along(at), function(j) {
    h <- 1e-5 * max(abs(at[j]), 1)
    up <- down <- at; up[j] <- at[j] + h; down[j] <- at[j] - h
    far_up <- far_down <- at; far_up[j] <- at[j] + 2 * h; far_down[j] <- at[j] - 2 * h
    (8 * (colSums(f(up)) - colSums(f(down))) - (colSums(f(far_up)) - colSums(f(far_down)))) / (12 * h)
  })
}
stacked <- function(f, at) { # sandwich of estimating functions f: theta -> (n, k)
  J <- solve(jacobian(f, at)); u <- f(at) %*% t(J)
  list(V = crossprod(u), u = u)
}

# ---- weights -------------------------------------------------------------------------------------------------------
part <- function(name, strata = rep(1L, n), stabilised = FALSE, truncate = NULL) {
  groups <- sort(unique(strata)); q <- ncol(L); gam <- NULL
  for (g in groups) {
    m <- glm.fit(L[strata == g, ], R[strata == g], family = binomial(), control = tight)
    gam <- c(gam, m$coefficients)
  }
  share <- if (stabilised) as.numeric(tapply(R, d$a, mean)) else numeric(0)
  limits <- NULL
  chance <- function(gamma) {
    out <- numeric(n)
    for (i in seq_along(groups)) {
      k <- strata == groups[i]
      out[k] <- plogis(drop(L[k, ] %*% gamma[(i - 1) * q + seq_len(q)]))
    }
    out
  }
  weigh <- function(gamma, h) {
    w <- (if (length(h)) h[d$a] else 1) / chance(gamma)
    if (!is.null(limits)) w <- pmin(pmax(w, limits[1]), limits[2])
    w
  }
  raw <- weigh(gam, share)[R == 1]
  if (!is.null(truncate)) limits <- quantile(raw, truncate / 100, names = FALSE)
  w <- weigh(gam, share)
  used <- w[R == 1]
  put(name, "", c("mean", "sd", "min", "max", "ess"), c(mean(used), sd(used), min(used), max(used), sum(used)^2 / sum(used^2)))
  put(name, "", paste0("p", c(1, 5, 25, 50, 75, 95, 99)), quantile(used, c(1, 5, 25, 50, 75, 95, 99) / 100))
  put(name, "", "truncated", if (is.null(limits)) 0 else sum(raw < limits[1] | raw > limits[2]))
  put(name, "", "below_0.5", sum(chance(gam) < 0.5))
  fit <- glm(d$y ~ A + x + z, family = poisson(), weights = w, data = d, subset = R == 1, control = tight)
  b <- coef(fit); ng <- length(gam); nh <- length(share)
  f <- function(theta) {
    gamma <- theta[seq_len(ng)]; h <- theta[ng + seq_len(nh)]; beta <- theta[ng + nh + seq_along(b)]
    p <- chance(gamma)
    of_gamma <- do.call(cbind, lapply(seq_along(groups), function(i) L * (R - p) * (strata == groups[i])))
    of_h <- if (nh) sapply(seq_len(nh), function(k) (d$a == k) * (R - h[k])) else NULL
    of_beta <- X * (R * weigh(gamma, h) * (y0 - exp(drop(X %*% beta))))
    cbind(of_gamma, of_h, of_beta)
  }
  at <- c(gam, share, b); last <- length(gam) + nh + seq_along(b)
  both <- stacked(f, at)
  u <- both$u[, last]
  put(name, names_x, "estimate", b)
  put(name, names_x, "se_known", sqrt(diag(sandwich(fit))))
  put(name, names_x, "se_known_hc3", sqrt(diag(vcovHC(fit, type = "HC3"))))
  put(name, names_x, "se_estimated", sqrt(diag(both$V)[last]))
  put(name, names_x, "se_estimated_stata", sqrt(diag(both$V)[last] * n / (n - 1)))
  sums <- rowsum(u, d$cl); G <- nrow(sums)
  put(name, names_x, "se_estimated_cluster", sqrt(diag(crossprod(sums)) * G / (G - 1)))
}
part("plain")
part("stabilised", stabilised = TRUE)
part("truncated", stabilised = TRUE, truncate = c(1, 99))
part("strata", strata = d$s, stabilised = TRUE, truncate = c(2, 98))

# ---- worst cases: outcomes of those lost set, or k times the risk ----------------------------------------------------
poisson_fractional <- function(y) {
  m <- suppressWarnings(glm.fit(X, y, family = quasipoisson(), control = tight))
  m$coefficients
}
set_to <- function(p) ifelse(R == 1, d$y, p)
extreme <- function(name, risk) { # risk by category, for those lost
  set <- d
  set$y <- set_to(risk[d$a])
  m <- glm(y ~ A + x + z, family = poisson(), data = set, control = tight)
  put(name, names_x, "estimate", coef(m))
  put(name, names_x, "se", sqrt(diag(sandwich(m))))
}
extreme("all_cases", c(1, 1, 1))
extreme("no_cases", c(0, 0, 0))
extreme("cases_in_3_only", c(0, 0, 1))

cc <- glm(d$y ~ A + x + z, family = poisson(), data = d, subset = R == 1, control = tight)
put("followed", names_x, "estimate", coef(cc))
put("followed", names_x, "se", sqrt(diag(sandwich(cc))))
multiplied <- function(name, k, scale, anchor) {
  moved <- function(r) if (scale == "risk") k[d$a] * r else k[d$a] * r / (1 - r + k[d$a] * r)
  f <- if (anchor == "model") {
    function(theta) {
      b0 <- theta[seq_along(names_x)]; b <- theta[length(names_x) + seq_along(names_x)]
      m0 <- exp(drop(X %*% b0))
      target <- ifelse(R == 1, y0, moved(m0))
      cbind(X * (R * (y0 - m0)), X * (target - exp(drop(X %*% b))))
    }
  } else {
    function(theta) {
      r <- theta[1:3]; b <- theta[3 + seq_along(names_x)]
      target <- ifelse(R == 1, y0, moved(r[d$a]))
      cbind(sapply(1:3, function(j) R * (d$a == j) * (y0 - r[j])), X * (target - exp(drop(X %*% b))))
    }
  }
  first <- if (anchor == "model") coef(cc) else as.numeric(tapply(d$y[R == 1], d$a[R == 1], mean))
  r <- if (anchor == "model") exp(drop(X %*% first)) else first[d$a]
  b <- poisson_fractional(set_to(moved(r)))
  V <- stacked(f, c(first, b))$V
  last <- length(first) + seq_along(b)
  put(name, names_x, "estimate", b)
  put(name, names_x, "se", sqrt(diag(V)[last]))
}
multiplied("risk_model", c(1.3, 1, 0.7), "risk", "model")
multiplied("risk_category", c(1.3, 1, 0.7), "risk", "category")
multiplied("odds_model", c(2, 1, 0.4), "odds", "model")
multiplied("odds_category", c(2, 1, 0.4), "odds", "category")
multiplied("one_model", c(1, 1, 1), "risk", "model")

# the k (of the odds) of the third category alone at which its ratio is 1, by a root search over whole fits
at_k <- function(k) {
  m0 <- exp(drop(X %*% coef(cc))); o <- c(1, 1, k)[d$a] * m0 / (1 - m0)
  y <- set_to(o / (1 + o))
  poisson_fractional(y)[["A3"]]
}
put("tipping", "A3", "k", uniroot(at_k, c(0.2, 40), tol = 1e-13)$root)

out <- do.call(rbind, rows)
out$value <- formatC(out$value, digits = 15, format = "g")
write.csv(out, file.path(here, "losses.csv"), row.names = FALSE, quote = FALSE)
