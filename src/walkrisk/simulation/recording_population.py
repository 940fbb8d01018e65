"""How people move, as numbers: mean harmonics and postures of labelled walking, stairs, running and cycling.

Population parameters only (no recorded signal), estimated from labelled recordings of thigh and lower back at 50 Hz:
HARTH (11 adults; Logacjov et al. 2021, doi 10.3390/s21237853; data doi 10.24432/C5NC90, CC BY 4.0), HAR70+ (12 people
of 70-95 years; Ustad et al. 2023, doi 10.3390/s23052368; data doi 10.24432/C5CW3D, CC BY 4.0). In windows of 4 s of one
label, ten harmonics of the stride (or crank) frequency were fitted to each axis by least squares; the windows of a
person, then the people, were aligned in phase to their mean. Axes: x along the limb or body, +1 g standing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

HARMONICS = 10
Vector = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gait:
    """One rhythmic activity: signal = posture + Re sum_k c_k exp(2 pi i k phase), phase in strides; all in g.

    `mean` (6, 10) complex population harmonics; `between` and `within` (6, 10): root mean square of a person's and of a
    4-s window's deviation from them. `exponent`: SD of an axis grows as (stride frequency / `stride_hz`) to this power.
    `rough`: what ten harmonics leave unexplained in a window, as a share of an axis' SD; `rough_share`: how much of
    that is white; the rest is wander and the unevenness of steps. `strike`: size of what a heel strike adds,
    as a share of an axis' SD, set so that movement above 6 Hz is as strong, and as uneven in time, as in the data.
    """

    mean: npt.NDArray[np.complex128]
    between: npt.NDArray[np.float64]
    within: npt.NDArray[np.float64]
    stride_hz: float
    exponent: Vector
    rough: Vector
    posture: Vector
    posture_sd: Vector
    rough_share: float = 0.15
    strike: Vector = (1.1, 1.1, 0.9, 0.65, 0.8, 0.65)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """What a heel strike does at one site: a damped oscillation, `delay_s` late, weaker from the `other_foot`."""

    hz: float
    decay_s: float
    delay_s: float
    other_foot: float


STRIKES = (
    Strike(hz=11.0, decay_s=0.045, delay_s=0.0, other_foot=0.35),
    Strike(hz=9.0, decay_s=0.06, delay_s=0.012, other_foot=0.85),
)


def _table(text: str) -> tuple[npt.NDArray[np.complex128], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Rows of amplitude (mg), phase (0.01 rad), between and within people (mg), an axis after the other."""
    rows = np.array(text.split(), dtype=np.float64).reshape(6, 4, HARMONICS)
    mean = rows[:, 0] / 1000 * np.exp(1j * rows[:, 1] / 100)
    return mean, rows[:, 2] / 1000, rows[:, 3] / 1000


_MEAN, _BETWEEN, _WITHIN = _table("""
 140  213  104   47   26   38   65  109  102  105
  12  -94 -266   70 -237  -86  153 -178  105 -224
  62  126   75   70   62   60   89   93   84   70
  71  125   78   67   53   58   77   93   92   93
  79   22   36   42   46   58   45   40   18   28
 106 -207  -18  177 -163  100 -263  -29  256 -142
  33   54   71   89   79   98   75   69   55   45
  41   49   62   69   72   74   74   69   63   59
  76  235  167  136   91    7   36   79   44   58
   0 -253  140 -217  168  -10  272   84 -233   77
  62  118   66  113   75   64   71   71   47   50
  67  127   88  106   82   64   76   84   68   65
   5  164    6   33    4   29    6   21    4   12
-251  -41  264  -26 -185  -16 -275 -109 -307 -132
  10  110   18   44   15   34   13   27   14   28
  17  113   33   63   31   38   21   32   20   29
  56    5   41    6   34    1   19    5   11    5
-208 -147   76 -132  -30  292 -161  131 -197   59
  41   20   49   14   49   16   42   13   28   12
  36   25   41   20   41   23   34   22   29   21
  15   98    6   45    4   20    8   19    7   14
-234  168    4  151   26  196  -19  214  -86  217
  19   74   20   46   13   28   13   23   11   20
  25   60   26   42   18   29   19   26   16   22
""")
WALKING = Gait(
    mean=_MEAN,
    between=_BETWEEN,
    within=_WITHIN,
    stride_hz=0.86,
    exponent=(2.67, 1.46, 1.81, 2.49, 1.25, 1.74),
    rough=(0.693, 0.708, 0.597, 0.543, 0.616, 0.563),
    posture=(1.016, 0.066, -0.112, 0.975, 0.047, -0.229),
    posture_sd=(0.037, 0.09, 0.102, 0.031, 0.061, 0.177),
)

_MEAN, _BETWEEN, _WITHIN = _table("""
 459  861  661  140  221  208  240  400  246  350
 300 -304 -118 -240 -287  120   25 -101 -184 -311
  99  281  261  179  136  265  249  209  139  111
  90  141  213  129  128  142  165  199  160  191
 118  151  187  249  172  198   57   32   71   66
-256  285   73  -33 -210   10  217  -90  -77  260
 114  114  135  243  230  211  183  179  127  101
  64   87  113  130  155  153  135  145  114   94
 496  594  585  315  304  159  120   16  126   41
   0  290  157  174   78   53   33  193    9  -14
 101  199  210  113  220  158  215  113  129  124
 112  107  168  131  143  114  134  115  134  119
  11 1113   41  285    8  238   48  159   42  122
-124  309   23  180 -217    4  285 -204   80  232
  44  288   59   95   48  171   76  135   66  113
  41  177   48  102   54  113   61   96   60   93
 113    9  191    4  108   11  105   16   66    9
 -84 -141  118  187 -104  133  273   62   64 -274
  44   45  181   46  121   54  139   35   91   44
  48   34   91   45   79   55   84   53   79   52
  15  197    6  148    9  103   14   99   10   94
 213  162  236  -54  150 -193 -131 -305 -150  170
  47  138   59   73   37  108   37   85   46   72
  30   81   37   77   39   77   43   92   49   93
""")
RUNNING = Gait(
    mean=_MEAN,
    between=_BETWEEN,
    within=_WITHIN,
    stride_hz=1.35,
    exponent=(1.75, 1.36, 0.98, 1.24, 1.5, 1.05),
    rough=(0.49, 0.59, 0.51, 0.34, 0.6, 0.62),
    posture=(1.204, 0.191, -0.146, 0.952, 0.056, -0.371),
    posture_sd=(0.03, 0.074, 0.057, 0.034, 0.046, 0.09),
    rough_share=0.3,
    strike=(0.8, 0.7, 0.7, 0.7, 0.8, 0.7),
)

_MEAN, _BETWEEN, _WITHIN = _table("""
 265  275   92  118   52   98   60   82   40   41
  29 -103  276   -1 -313   36 -285   28  305    8
  53  103   42   62   41   47   49   47   42   41
  93  119   66   93   47   74   69   72   65   64
  97   32    6   66   33   18   13    7   19    9
 165  285 -256  232 -273  134 -270 -164  248  161
  46   30   43   64   47   30   40   20   32   20
  41   49   45   49   52   43   49   49   46   40
 134  136   80  100  103   23   59   32   13   20
   0  306  130  288  130  110   48 -135    6 -159
 105   80   60   70   37   33   25   33   22   24
  86   73   52   67   48   50   47   56   45   43
  10  160    7   80    1   41    3   17    2    5
-274   42 -174   97  -11   57   23   76   86   54
  15   71   32   45   10   25    8    9    5    6
  27   63   44   50   32   36   23   22   15   14
 126    6   17    4   13    7    8    5    1    1
-256  222 -284 -151  280  304   19  166  148  303
  39   33   22   14   16   11   13    5   11    6
  40   41   26   19   19   26   20   16   16   20
  30  109    6   47    2   15    0   13    1    7
-248  222 -283  245 -289  302 -165 -226  -51 -175
  33   42   17   25   11   13    7   14    6   10
  32   53   26   38   16   21   15   19   13   12
""")
UPSTAIRS = Gait(
    mean=_MEAN,
    between=_BETWEEN,
    within=_WITHIN,
    stride_hz=0.75,
    exponent=(0.69, 0.29, 0.06, 0.21, 0.45, 0.35),
    rough=(0.59, 0.8, 0.68, 0.46, 0.53, 0.52),
    posture=(1.002, 0.089, -0.321, 0.946, 0.051, -0.399),
    posture_sd=(0.032, 0.069, 0.101, 0.048, 0.062, 0.149),
)

_MEAN, _BETWEEN, _WITHIN = _table("""
  42  192   91  117    6   45   30   41   24   23
-108   20  288   33  -34   20  229   91  294  206
  32  134   66  104   40   57   31   59   36   49
  48  112   75   90   69   91   62   72   64   71
  41   37   19   73   15   22    8   33    8   22
-139  -61 -163 -112   -2  -80  138   89   92   27
  34   35   55   62   58   65   37   46   29   29
  45   51   58   72   62   74   67   64   54   58
  21  132   79  123   47   37   25   10    1   32
   0 -153   14 -122  218 -191  280 -236  266 -117
  46   99   53  115   67   32   23   35   20   33
  50   98   76  110   68   61   56   59   57   57
   2  155   24  136   12   12   10   10    3    7
-198  -30  118  -64   54   29  169   45  302  266
  17  129   37   61   31   18   12   33    9   14
  27  115   63   89   53   37   31   38   29   29
  49   25   28    3   22   26   12    3   10   12
 277 -309 -187  281 -213 -128 -185  214  -84  -39
  37   52   18   23   24   52   22    9   14   32
  52   46   32   28   36   55   42   33   35   41
  13   40   22   72   10    9    3   15    3    7
 298 -258 -108 -208 -111 -135  -19 -101   -6   70
  25   51   22   42   21   24    9   22    7   10
  20   56   35   45   25   29   20   32   21   20
""")
DOWNSTAIRS = Gait(
    mean=_MEAN,
    between=_BETWEEN,
    within=_WITHIN,
    stride_hz=0.77,
    exponent=(0.1, 0, 0.12, 0.19, 0, 0),
    rough=(0.73, 0.82, 0.77, 0.6, 0.71, 0.69),
    posture=(1.02, 0.074, -0.304, 0.984, 0.011, -0.196),
    posture_sd=(0.027, 0.061, 0.082, 0.031, 0.055, 0.163),
)

_MEAN, _BETWEEN, _WITHIN = _table("""
 385  389   21  121   13    3   10   12    4    5
-309  258  239  137 -158   62  303   22 -157  270
  65   93   33   51   23   11   10    8    2   11
 297  198   61  156   56   55   42   44   28   40
  80   73   73   25   11   38    7   12    5   10
-303  216  187  119  -86  -14   55   21  -55  209
  33   29   28   38   18   46   15   21    3    7
  73   76   78   73   32   78   28   45   24   26
 369  339  125  133   36   75    5   28    7   14
   0  -80  118 -199   68  -74  182  234  112 -239
 212  121   40   46   18   31   18   23    4   10
 358  252  125  112   54  113   40   62   28   33
   2   34    4   22    3    5    1    4    2    1
 202 -275  162  217  159 -219   49  100  281   50
   2   19    4   22    4    6    4    5    2    1
  17   52   46   63   46   37   30   23   18   16
  11    4   21    8    3   12    2    4    2    5
-156   21  214 -262  265   57 -171   88 -123 -104
  43   22    9    4   14   13    5    2    2   10
  39   35   30   23   21   29   15   15   12   19
   4   21    2    2    1    4    1    4    1    1
 183 -279   13 -219 -311 -134  282  289  230   47
   3   28    4   11    4    3    3    9    1    3
  17   34   18   42   17   18   15   17    9    9
""")
CYCLING = Gait(
    mean=_MEAN,
    between=_BETWEEN,
    within=_WITHIN,
    stride_hz=1.05,
    exponent=(0.4, 0.27, 0.68, 0.19, 0.22, 0.07),
    rough=(0.29, 0.55, 0.31, 0.78, 0.64, 0.71),
    posture=(0.856, 0.132, -0.637, 0.881, 0.028, -0.293),
    posture_sd=(0.055, 0.046, 0.149, 0.047, 0.036, 0.25),
    strike=(0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    rough_share=0.45,
)

GAITS = {
    "walking": WALKING,
    "upstairs": UPSTAIRS,
    "downstairs": DOWNSTAIRS,
    "running": RUNNING,
    "cycling": CYCLING,
}


STIR: Vector = (0.10, 0.10, 0.12, 0.08, 0.07, 0.10)  # SD of movement, g, while a posture changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """A posture, in g as `Gait.posture`: its SD between people and bouts, drift within a bout, and movement (SD)."""

    posture: Vector
    between: Vector
    bout: Vector
    drift: float
    movement: Vector


STANDING = Rest(
    posture=(0.98, 0.02, 0.01, 0.99, 0.04, -0.18),
    between=(0.0, 0.08, 0.12, 0.0, 0.06, 0.17),
    bout=(0.0, 0.04, 0.06, 0.0, 0.03, 0.06),
    drift=0.03,
    movement=(0.009, 0.017, 0.017, 0.009, 0.012, 0.011),
)
SHUFFLING = Rest(
    posture=STANDING.posture,
    between=STANDING.between,
    bout=(0.0, 0.06, 0.08, 0.0, 0.05, 0.07),
    drift=0.05,
    movement=(0.06, 0.12, 0.11, 0.03, 0.07, 0.04),
)
SITTING = Rest(
    posture=(0.02, -0.02, -1.05, 0.92, 0.02, 0.30),
    between=(0.16, 0.15, 0.0, 0.0, 0.10, 0.20),
    bout=(0.09, 0.08, 0.0, 0.0, 0.05, 0.18),
    drift=0.01,
    movement=(0.007, 0.009, 0.007, 0.006, 0.006, 0.007),
)
_LYING_SD = {"between": (0.08, 0.08, 0.0, 0.1, 0.08, 0.05), "bout": (0.08, 0.12, 0.05, 0.08, 0.1, 0.05)}
# On the back, on the side half turned, on the left and the right side, on the belly (the last two not in the data).
LYING = tuple(
    Rest(posture=posture, drift=0.004, movement=(0.005, 0.006, 0.005, 0.004, 0.005, 0.004), **_LYING_SD)
    for posture in (
        (0.02, 0.10, -1.0, 0.11, -0.02, 0.88),
        (-0.08, -0.65, -0.75, 0.02, 0.50, 0.85),
        (-0.07, -0.99, 0.08, 0.03, 0.88, 0.48),
        (-0.07, 0.99, -0.08, 0.03, -0.88, 0.40),
        (0.05, 0.05, 1.0, 0.05, 0.05, -0.98),
    )
)
LYING_SHARES = (0.45, 0.25, 0.12, 0.13, 0.05)
