# The numbers of src/statistics/drift_test.cc. scipy 1.10, numpy 1.24.
import numpy as np
from scipy import stats

def smoothed_psi(before, now, rows):
    n = min(rows, 5000); whole = n + .5 * len(now)
    p = (np.array(now) * n + .5) / whole; r = (np.array(before) * n + .5) / whole
    return float(np.sum((p - r) * np.log(p / r)))

# 41 quantiles of 0..1 against x^2 of 2,000 even places
q = np.linspace(0, 1, 41)
x = ((np.arange(2000) + .5) / 2000) ** 2
now = np.histogram(x, np.linspace(0, 1, 11))[0] / 2000
print('psi', smoothed_psi([.1] * 10 + [0], list(now) + [0], 2000))
print('ks exact', stats.kstest(x, 'uniform', method='asymp'))
d = max(abs(np.mean(x <= e) - e) for e in q)
print('ks at edges', d, 'p', stats.kstwobign.sf((np.sqrt(2000) + .12 + .11 / np.sqrt(2000)) * d))
# small shift, a p-value that is not 0
y = ((np.arange(300) + .5) / 300) ** 1.15
d = max(abs(np.mean(y <= e) - e) for e in q)
print('small ks', d, 'p', stats.kstwobign.sf((np.sqrt(300) + .12 + .11 / np.sqrt(300)) * d), stats.kstest(y, 'uniform'))
now = np.histogram(y, np.linspace(0, 1, 11))[0] / 300
print('small psi', smoothed_psi([.1] * 10 + [0], list(now) + [0], 300))
# two classes 0.7 0.3 -> 0.4 0.6 of 1000 rows
print('classes', smoothed_psi([.7, .3, 0, 0], [.4, .6, 0, 0], 1000))
# a tenth missing, then half of 1,000 rows; the rest as it was
print('missing', smoothed_psi([.09] * 10 + [.1], [.05] * 10 + [.5], 1000))
print('chi2', stats.chi2.ppf(1 - 1e-5, 9), stats.chi2.ppf(1 - 1e-5, 1))
