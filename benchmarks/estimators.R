# One estimation task of one R program, for estimators.py: prints a line of JSON.
#   Rscript estimators.R TASK FOLDER REPEATS
arguments <- commandArgs(TRUE)
task <- arguments[1]; folder <- arguments[2]; repeats <- as.integer(arguments[3])
text <- readLines(file.path(folder, "facts.json"), warn = FALSE)
fact <- function(name) as.numeric(sub(paste0('.*"', name, '": *([0-9.]+).*'), "\\1", text))
n <- fact("n"); p <- fact("p"); slow <- fact("slow_replicates")
x <- matrix(readBin(file.path(folder, "x.bin"), "double", n * p), n, p)
y <- readBin(file.path(folder, "y.bin"), "double", n)
colnames(x) <- paste0("x", seq_len(p) - 1)
frame <- data.frame(x[, -1, drop = FALSE], y = y)
formula <- as.formula(paste("y ~", paste(colnames(x)[-1], collapse = " + ")))
high_water <- function() as.numeric(gsub("[^0-9]", "", grep("^VmHWM", readLines("/proc/self/status"), value = TRUE))) / 1024

tasks <- list(
  glm_sandwich = function() {
    fit <- glm(formula, family = poisson(), data = frame)
    sqrt(sandwich::vcovHC(fit, type = "HC0")[2, 2])
  },
  fixest = function() {
    fit <- fixest::fepois(formula, data = frame, vcov = "hetero", nthreads = 1, notes = FALSE)
    unname(fixest::se(fit)["x1"]) * sqrt((n - p) / n)  # HC1, brought back to HC0 for the comparison of numbers
  },
  risks = function() {
    fit <- risks::riskratio(formula, data = frame, approach = "robpoisson")
    summary(fit)$coefficients[2, 2]
  },
  boot_glmfit = function() {
    statistic <- function(data, i) {
      xx <- x[i, ]
      beta <- suppressWarnings(glm.fit(xx, y[i], family = binomial())$coefficients)
      x0 <- xx; x0[, 2:4] <- 0; x1 <- x0; x1[, 2] <- 1
      log(mean(plogis(x1 %*% beta)) / mean(plogis(x0 %*% beta)))
    }
    set.seed(1)
    sd(boot::boot(seq_len(n), statistic, R = slow)$t)
  },
  logbin_em = function() {
    fit <- logbin::logbin(formula, data = frame, method = "em")
    sqrt(vcov(fit)["x1", "x1"])
  },
  glm_log_binomial = function() {
    fit <- glm(formula, family = binomial("log"), data = frame, start = c(log(mean(y)), rep(0, p - 1)))
    sqrt(vcov(fit)[2, 2])
  }
)
before <- high_water(); cpu <- numeric(0)
for (k in seq_len(repeats)) {
  start <- proc.time()
  value <- suppressWarnings(suppressMessages(tasks[[task]]()))
  used <- proc.time() - start
  cpu <- c(cpu, used[["user.self"]] + used[["sys.self"]])
}
if (length(cpu) > 1) cpu <- cpu[-1]
cat(sprintf('{"cpu": %.6f, "value": %.15g, "before": %.1f, "peak": %.1f}\n', median(cpu), value, before, high_water()))
