/* Where a Cortex-M begins: the end of its stack, and its first instruction. The C library's start-up does the rest. */
extern void _start(void);

__attribute__((section(".vectors"), used)) static void (*const vectors[])(void) = {
  (void (*)(void))0x00400000, _start};
