/* The image of the suite's no_new_privs specs: a set-user-ID program that says who it is. */
#include <stdio.h>
#include <unistd.h>

int main(void)
{
	printf("Effective uid: %d\n", (int)geteuid());
	return 0;
}
