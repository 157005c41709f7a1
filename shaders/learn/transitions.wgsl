// How the window of a transition ended: what comes next is in the ring, the game was over, or the step limit cut it.
const GOES_ON: u32 = 0u;
const IS_OVER: u32 = 1u;
const WAS_CUT: u32 = 2u;
